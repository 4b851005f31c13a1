"""Rounding of trained weights to bfloat16 that keeps the update on average.

bfloat16 has 8 significant bits, so its neighbours of a weight w lie about |w| / 256 apart. An update at a learning
rate of 1e-6 is far smaller: to nearest, almost every weight that starts on the grid returns to where it was, and a
round of DPO is lost (measured on SmolLM2-135M: 1 % of the reward margin was left). Rounded up with a probability equal
to the distance from below (stochastic rounding), each weight keeps its update in expectation, and a matrix product
sums over so many of them that the model keeps it too. What is served, judged and trained on next are these very
weights, and the artifact stays half the size of float32's.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import torch

from selfreward_steps.contract import Rounding

_CHUNK: Final = 1 << 24
"""Weights rounded at a time, so that a large one needs little memory beside itself."""
_THREADS: Final = 16
"""Weights rounded side by side: each needs some 200 MB for its chunk."""
_LOST_BITS: Final = 16
"""What float32 has more than bfloat16, which is its upper half."""


def round_weights(model: torch.nn.Module, seed: int) -> None:
    """Round all parameters of a model on the CPU to bfloat16, several at a time.

    Each has random numbers of its own, so the bytes do not hang on how many threads there are.
    """
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as threads:
        parameters = list(model.named_parameters())
        rounded = threads.map(lambda named: round_stochastically(named[1], seed=seed, name=named[0]), parameters)
        for (_, weight), new in zip(parameters, rounded, strict=True):
            weight.data = new


def round_stochastically(weight: torch.Tensor, *, seed: int, name: str) -> torch.Tensor:
    """A finite float32 `weight` of any shape in bfloat16, rounded at random to one of its two neighbours.

    Drawn from `seed` and the weight's `name`, so that the same training gives the same bytes in whatever order its
    weights are written. A weight that bfloat16 can hold stays as it is.
    """
    random = np.random.PCG64(int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()))
    rounded = torch.empty(weight.shape, dtype=torch.bfloat16)
    source, target = weight.detach().to("cpu", torch.float32).reshape(-1), rounded.view(-1)
    for start in range(0, source.numel(), _CHUNK):
        bits = source[start : start + _CHUNK].contiguous().view(torch.int32)
        noise = random.random_raw(-(-len(bits) // 4)).view(np.uint16)[: len(bits)]
        # The bits of a float grow with its magnitude, so a carry into the upper half is the neighbour away from 0.
        upper = (bits + torch.from_numpy(noise.astype(np.int32))) & -(1 << _LOST_BITS)
        target[start : start + _CHUNK] = upper.view(torch.float32)
    return rounded


def precision_of(dtype: torch.dtype, rounding: Rounding, seed: int) -> str:
    """How weights became `dtype`, in words for the model card and the manifest."""
    name = str(dtype).removeprefix("torch.")
    if dtype is not torch.bfloat16:
        return name
    return f"{name}, {rounding} rounding" + (f", seed {seed}" if rounding is Rounding.STOCHASTIC else "")
