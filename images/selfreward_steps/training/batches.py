"""The division of one optimiser step's examples over processes and forward passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch.nn.functional import pad

from selfreward_steps.contract import (
    EXAMPLES_UNMEASURED,
    ModelShape,
    TrainingSettings,
    even_examples,
    examples_that_fit,
    saved_bytes_per_token,
    states_bytes,
)
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
        per_device = even_examples(share, per_device_limit)
        return cls(per_device, share // per_device, world, adapted=per_device < min(share, per_device_limit))


@dataclass(frozen=True)
class Memory:
    """What a training's forward pass must fit into, and what takes it."""

    shape: ModelShape | None
    """None: an architecture of which nothing is reckoned."""
    bytes_per_parameter: int
    """Of what is held from the first step to the last, over all processes."""
    tokens: int
    """Of the longest example, all its sequences as long as the longest."""
    processes: int
    halves: bool

    def examples(self, settings: TrainingSettings, free: int | None) -> int:
        """Examples a forward pass: as the settings say, else as many of the longest as `free` bytes of the GPU take
        (None: there is no GPU), but for losses of a whole pass, which must not hang on memory."""
        if settings.per_device_batch_size is not None:
            return settings.per_device_batch_size
        if free is None or self.shape is None or settings.learns_by_pass:
            return EXAMPLES_UNMEASURED
        kept = saved_bytes_per_token(self.shape, halves=self.halves, checkpointing=settings.gradient_checkpointing)
        states = states_bytes(self.shape, self.bytes_per_parameter, processes=self.processes, halves=self.halves)
        return examples_that_fit(free, states, self.tokens * kept)


def free_memory() -> int | None:
    """Bytes of this process's GPU that it may still take; None without one."""
    if not torch.cuda.is_available():
        return None
    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())


class ByLength:
    """Forward passes of examples that are about equally long, in place of as they come; for transformers' Trainer.

    An optimiser step learns from the same examples: what changes is which of them share a forward pass, and so are
    padded to one length. In batches of 4 pairs of people's ranked answers, a quarter of what is computed is saved.
    """

    sequences: ClassVar[int]
    """Sequences an example: a batch holds the first of each, then the second of each."""

    def get_batch_samples(self, *arguments: Any) -> tuple[list[Any], Any]:
        """The batches of one optimiser step, as Trainer takes them from its data."""
        batches, items = super().get_batch_samples(*arguments)  # type: ignore[misc]
        return by_length(batches, self.sequences, self.data_collator.pad_token_id), items  # type: ignore[attr-defined]


def by_length(
    batches: Sequence[Mapping[str, torch.Tensor]], sequences: int, pad_token: int
) -> list[Mapping[str, torch.Tensor]]:
    """The examples of `batches`, padded on the right, in as many of the same sizes, the longest in the first.

    Where the sizes differ, as at an epoch's end, they are left as they are: each forward pass's mean counts the same
    there, so which examples share it would matter.
    """
    if len({len(batch["input_ids"]) for batch in batches}) != 1 or len(batches) == 1:
        return list(batches)
    size = len(batches[0]["input_ids"]) // sequences
    longest = max(batch["input_ids"].size(1) for batch in batches)
    fill = {"input_ids": pad_token, "labels": -100}
    joined = {}
    for name in batches[0]:
        rows = [batch[name] for batch in batches]
        if rows[0].dim() == 2:
            rows = [pad(each, (0, longest - each.size(1)), value=fill.get(name, 0)) for each in rows]
        # (sequences, examples, ...): one row an example, whichever batch it was in.
        joined[name] = torch.cat([each.reshape(-1, size, *each.shape[1:]) for each in rows], dim=1)
    lengths = joined["attention_mask"].sum(dim=2).amax(dim=0)
    order = lengths.argsort(descending=True, stable=True)
    # One look at the GPU's numbers a step.
    widths = lengths[order[::size]].long().tolist()
    return [
        {
            name: (rows[:, chosen, :width] if rows.dim() == 3 else rows[:, chosen]).flatten(0, 1)
            for name, rows in joined.items()
        }
        for chosen, width in zip(torch.split(order, size), widths, strict=True)
    ]
