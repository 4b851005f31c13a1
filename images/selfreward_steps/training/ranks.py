"""The ranks of torchrun's processes, and how they agree on things that are not gradients.

Agreements travel over a gloo group of their own with a long limit: rank 0 may tokenise or upload for many minutes
while the others wait, and NCCL would call that a hang. It must not touch the model.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Self, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")

PATIENCE = timedelta(days=2)
"""Deadlines are the control plane's; a rank that dies is noticed by its closed connection, not by this limit."""


@dataclass(frozen=True)
class Ranks:
    """torchrun's numbering; one process of one when there is no torchrun."""

    rank: int = 0
    local_rank: int = 0
    world: int = 1
    local_world: int = 1
    node: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        def number(name: str, default: int) -> int:
            return int(environment.get(name, default))

        world = number("WORLD_SIZE", 1)
        rank = number("RANK", 0)
        local_world = number("LOCAL_WORLD_SIZE", world)
        return cls(rank, number("LOCAL_RANK", rank), world, local_world, number("GROUP_RANK", rank // local_world))

    @property
    def nodes(self) -> int:
        return self.world // self.local_world

    @property
    def first(self) -> bool:
        """The one rank that writes and commits the result."""
        return self.rank == 0

    @property
    def first_of_node(self) -> bool:
        """The one rank of this node that downloads and uploads."""
        return self.local_rank == 0


class Council:
    """The ranks' agreements. Every method is collective: all ranks call it, in the same order.

    torch.distributed must be initialised before one is made (transformers' TrainingArguments does it).
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self._group = dist.new_group(backend="gloo", timeout=PATIENCE) if ranks.world > 1 else None

    def wait(self) -> None:
        """Block until every rank has called this."""
        if self._group is not None:
            dist.barrier(group=self._group)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank; every rank must call it."""
        if self._group is None:
            return flag
        votes = torch.tensor([int(flag)])
        dist.all_reduce(votes, op=dist.ReduceOp.MAX, group=self._group)
        return bool(votes.item())

    def least(self, number: int) -> int:
        """The smallest of the ranks' numbers."""
        if self._group is None:
            return number
        found = torch.tensor([number])
        dist.all_reduce(found, op=dist.ReduceOp.MIN, group=self._group)
        return int(found.item())

    def told_by_first(self, make: Callable[[], T]) -> T:
        """What rank 0 makes, on every rank."""
        if self._group is None:
            return make()
        box: list[T | None] = [make() if self.ranks.first else None]
        dist.broadcast_object_list(box, src=0, group=self._group)
        (value,) = box
        return value  # type: ignore[return-value]

    def once_a_node(self, make: Callable[[], T]) -> T:
        """What the first rank of this node makes, on each of its ranks: paths and counts of its own disk."""
        if self._group is None:
            return make()
        mine = (self.ranks.node, make() if self.ranks.first_of_node else None, self.ranks.first_of_node)
        everyone: list[tuple[int, T | None, bool] | None] = [None] * self.ranks.world
        dist.all_gather_object(everyone, mine, group=self._group)
        (value,) = [entry[1] for entry in everyone if entry is not None and entry[2] and entry[0] == self.ranks.node]
        return value  # type: ignore[return-value]

    def leave(self) -> None:
        """The last agreement: close every process group. Harmless without one."""
        if self._group is not None:
            dist.destroy_process_group()


@contextmanager
def lost_peers() -> Iterator[None]:
    """Take the loss of another rank for what it is, a stop: the rank that failed tells why."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        print(f"another rank is gone: {' '.join(str(error).split())[:300]}", file=sys.stderr)
        signal.raise_signal(signal.SIGTERM)
