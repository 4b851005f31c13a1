"""The division of one optimiser step's examples over processes and forward passes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from selfreward_steps.errors import PermanentError


@dataclass(frozen=True)
class BatchPlan:
    """`per_device * accumulation * world` examples make one optimiser step: exactly the batch that was asked for."""

    per_device: int
    accumulation: int
    world: int
    adapted: bool
    """Whether `per_device` is below what the settings allow, because the batch cannot be divided by that."""

    @classmethod
    def of(cls, batch_size: int, per_device_limit: int, world: int) -> Self:
        """The largest forward pass within the limit that divides the batch evenly.

        The batch is never changed, since it belongs to the method (16 in the paper). Raises PermanentError
        BatchNotDivisible when `world` processes cannot share it.
        """
        if batch_size % world:
            raise PermanentError(
                "BatchNotDivisible",
                f"settings.batchSize: {batch_size} examples cannot be shared evenly by {world} processes: "
                f"use a multiple of {world}, or fewer GPUs",
            )
        share = batch_size // world
        per_device = max(size for size in range(1, min(share, per_device_limit) + 1) if share % size == 0)
        return cls(per_device, share // per_device, world, adapted=per_device < min(share, per_device_limit))
