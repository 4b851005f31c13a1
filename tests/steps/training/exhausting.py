"""A training step on a GPU whose memory takes one example a forward pass; the GPU is played."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from forked import run_step


def run_with_little_memory(step: str, environment: Mapping[str, str], output: str, errors: str, after: int = 0) -> None:
    """Run an SFT step as :func:`run_step` does; a forward pass of several examples ends as torch ends it on a GPU.

    `after` so many passes, as when a longer example comes late.
    """
    import torch
    from transformers import LlamaModel

    whole, passes = LlamaModel.forward, itertools.count()

    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        if next(passes) >= after and len(named["input_ids"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return whole(self, *arguments, **named)

    LlamaModel.forward = forward  # type: ignore[method-assign]
    run_step(step, environment, output, errors)
