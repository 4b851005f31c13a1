"""Do fused kernels leave training as it is? `python benchmarks/gpu/fused.py`, on a GPU.

For one look-alike of each architecture (tests/lookalikes): the loss and the gradients of a batch by transformers' own
layers in float32, by them in bfloat16, and with Liger's kernels in both. A row says how far each lies from the first:
the loss's difference, and the gradients' as a share of their norm. Kernels may be as far off as bfloat16 itself is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import torch
from lookalikes.models import MODELS, made
from transformers import AutoModelForCausalLM
from transformers.integrations.liger import apply_liger_kernel


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("| architecture | replaced | float32, fused | bfloat16 | bfloat16, fused |\n| --- | --- | --- | --- | --- |")
    for kind, model in {model.kind: model for model in MODELS.values()}.items():
        with tempfile.TemporaryDirectory() as folder:
            path = made(model, Path(folder) / "model")
            exact = _learnt(_loaded(path), bfloat16=False)
            own = _learnt(_loaded(path), bfloat16=True)
            # Last, since the kernels also replace functions of the architecture's module.
            fused = _loaded(path)
            plain = [each.forward.__qualname__ for each in fused.modules()]
            apply_liger_kernel(fused, {"cross_entropy": False, "fused_linear_cross_entropy": False})
            replaced = sum(a != b.forward.__qualname__ for a, b in zip(plain, fused.modules(), strict=True))
            apart = (
                _apart(exact, each) for each in (_learnt(fused, bfloat16=False), own, _learnt(fused, bfloat16=True))
            )
        print(f"| {kind} | {replaced} | " + " | ".join(apart) + " |", flush=True)


def _loaded(path: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).cuda().train()


def _learnt(model: Any, *, bfloat16: bool) -> tuple[float, torch.Tensor]:
    """Loss and gradients of one batch, the second row of it padded."""
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(3, model.config.get_text_config().vocab_size, (4, 96), generator=draw).cuda()
    mask = torch.ones_like(ids)
    mask[1, 60:] = 0
    model.zero_grad()
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=bfloat16):
        loss = model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
    loss.backward()
    gradients = [weight.grad.flatten().double() for weight in model.parameters() if weight.grad is not None]
    return float(loss), torch.cat(gradients)


def _apart(exact: tuple[float, torch.Tensor], other: tuple[float, torch.Tensor]) -> str:
    return f"{abs(other[0] - exact[0]):.1e}, {float((other[1] - exact[1]).norm() / exact[1].norm()):.1e}"


if __name__ == "__main__":
    main()
