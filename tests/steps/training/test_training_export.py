"""The artifact's folder that is written from trained weights: which names, which bytes, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from selfreward_steps.contract import Rounding
from selfreward_steps.errors import PermanentError
from selfreward_steps.training.export import write_model
from selfreward_steps.training.models import load_model
from tiny_model import make_tiny_model, make_tokenizer
from transformers import AutoModelForCausalLM, MixtralConfig


def write(source: Path, folder: Path, loaded: Any, state: dict[str, torch.Tensor] | None = None) -> None:
    """Export the loaded model as it is, or with these weights."""
    state = loaded.state_dict() if state is None else state
    write_model(state, source, folder, loaded=loaded, dtype=torch.float32, rounding=Rounding.NEAREST, seed=1)


@pytest.fixture
def experts(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A mixture of experts, each with weights of its own in the file, or all in one."""
    config = MixtralConfig(
        vocab_size=400,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=2,
    )
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(tmp_path / "m0", save_original_format=request.param)
    make_tokenizer().save_pretrained(tmp_path / "m0")
    return tmp_path / "m0"


@pytest.mark.parametrize("experts", [True, False], indirect=True, ids=["by expert", "fused"])
def test_weights_keep_the_names_under_which_they_came(experts: Path, tmp_path: Path) -> None:
    write(experts, tmp_path / "m1", load_model(experts))
    before, after = (load_file(folder / "model.safetensors") for folder in (experts, tmp_path / "m1"))
    assert before.keys() == after.keys()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def test_the_weights_that_training_began_with_are_not_read_again(tmp_path: Path) -> None:
    source = make_tiny_model(tmp_path / "m0")
    loaded = load_model(source)
    state = {name: weight.clone() for name, weight in loaded.state_dict().items()}
    (source / "model.safetensors").write_bytes(b"")
    write(source, tmp_path / "m1", loaded, state)
    exported = load_model(tmp_path / "m1").state_dict()
    assert all(torch.equal(weight, exported[name]) for name, weight in state.items())


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, number: float) -> None:
    source = make_tiny_model(tmp_path / "m0")
    loaded = load_model(source)
    loaded.model.layers[1].mlp.up_proj.weight.data[3, 4] = number
    with pytest.raises(PermanentError, match="1 weights are not finite after training"):
        write(source, tmp_path / "m1", loaded)
    assert not (tmp_path / "m1").exists()


def test_large_weights_are_finite_though_their_sum_is_not(tmp_path: Path) -> None:
    source = make_tiny_model(tmp_path / "m0")
    loaded = load_model(source)
    loaded.model.norm.weight.data.fill_(3e38)
    assert not torch.isfinite(loaded.model.norm.weight.sum())
    write(source, tmp_path / "m1", loaded)
