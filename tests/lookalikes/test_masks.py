"""What training computes without a mask, on the architectures of the look-alikes, beside transformers with one."""

from pathlib import Path

import pytest
import torch
from lookalikes.models import MODELS, Model, made
from selfreward_steps.training.models import load_model
from transformers import AutoModelForCausalLM

LENGTHS = (70, 9, 1)
"""Longer than the look-alikes' sliding windows, and shorter."""


@pytest.mark.parametrize(
    "model", {model.kind: model for model in MODELS.values()}.values(), ids=lambda model: model.kind
)
def test_the_mask_of_what_is_padded_on_the_right_changes_nothing(model: Model, tmp_path: Path) -> None:
    folder = made(model, tmp_path / "model")
    draw = torch.Generator().manual_seed(1)
    mask = torch.tensor([[1] * length + [0] * (max(LENGTHS) - length) for length in LENGTHS])
    tokens = torch.randint(3, 400, mask.shape, generator=draw)
    ours, theirs = load_model(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    seen = []
    ours.base_model.register_forward_pre_hook(
        lambda _, __, named: seen.append(named.get("attention_mask")), with_kwargs=True
    )
    with torch.no_grad():
        found, expected = (each(input_ids=tokens, attention_mask=mask).logits[mask == 1] for each in (ours, theirs))
    assert seen == [None]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
