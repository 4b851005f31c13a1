"""Resumable checkpoints in the artifact store, under names of their own: `checkpoints/<output>/<inputs>/ranks-N/…`.

A checkpoint belongs to the same inputs and the same number of processes: anything else would resume another
training. Each node commits its part (shards of the optimiser, its ranks' random states); all parts together are one
checkpoint. This module knows files and names, not torch.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from selfreward_steps.errors import InfrastructureError
from selfreward_steps.store import Store
from selfreward_steps.training.ranks import Ranks

ROOT = "checkpoints"
_PART = re.compile(r"step-(?P<step>\d{6,})/node-(?P<node>\d+)")


@dataclass(frozen=True)
class Shelf:
    """The place of one training's checkpoints in the artifact store."""

    store: Store
    output: str
    inputs_digest: str
    step_name: str
    ranks: Ranks

    @property
    def prefix(self) -> str:
        digest = self.inputs_digest.removeprefix("sha256:")[:16]
        return f"{ROOT}/{self.output}/{digest}/ranks-{self.ranks.world}"

    def part(self, step: int, node: int) -> str:
        """The artifact with one node's files of the checkpoint after `step` optimiser steps."""
        return f"{self.prefix}/step-{step:06d}/node-{node}"

    def steps(self) -> dict[int, bool]:
        """The steps that have checkpoints, and whether all of a step's parts are committed."""
        nodes: dict[int, set[int]] = {}
        for artifact in self.store.artifacts(self.prefix):
            found = _PART.fullmatch(artifact.removeprefix(f"{self.prefix}/"))
            if found is not None:
                nodes.setdefault(int(found["step"]), set()).add(int(found["node"]))
        return {step: len(parts) == self.ranks.nodes for step, parts in sorted(nodes.items())}

    def newest(self) -> int | None:
        """The last step with a whole checkpoint; what is newer and torn is removed, as no part is ever replaced."""
        steps = self.steps()
        newest = max((step for step, whole in steps.items() if whole), default=None)
        for step in steps:
            if newest is None or step > newest:
                self.store.delete(f"{self.prefix}/step-{step:06d}")
        return newest

    def fetch(self, step: int, scratch: Path) -> Path:
        """A folder with every node's files of one checkpoint: each rank reads the whole metadata."""
        parts = [self.store.local_folder(self.part(step, node), scratch) for node in range(self.ranks.nodes)]
        if len(parts) == 1:
            return parts[0]
        folder = scratch / "whole"
        shutil.rmtree(folder, ignore_errors=True)
        for part in parts:
            for source in (path for path in part.rglob("*") if path.is_file()):
                target = folder / source.relative_to(part)
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    os.symlink(source, target)
        return folder

    def commit(self, step: int, folder: Path) -> None:
        """Commit the part of the checkpoint that this node has written."""
        self.store.commit(
            self.part(step, self.ranks.node), folder, inputs_digest=self.inputs_digest, step=self.step_name
        )

    def drop_superseded(self) -> None:
        """Remove what is older than the newest whole checkpoint."""
        steps = self.steps()
        newest = max((step for step, whole in steps.items() if whole), default=0)
        for step in steps:
            if step < newest:
                self.store.delete(f"{self.prefix}/step-{step:06d}")

    def clear(self) -> None:
        """Remove every checkpoint of the output, whatever its inputs: for when the output is committed."""
        self.store.delete(f"{ROOT}/{self.output}")


class Uploader:
    """Commits checkpoints beside the training, one at a time, and removes the local copy and the older ones."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._running: Future[None] | None = None

    def submit(self, step: int, folder: Path) -> None:
        """Start committing `folder`, which from here on belongs to this object; `finish` comes first."""
        self._running = self._pool.submit(self._commit, step, folder)

    def finish(self) -> None:
        """Wait for the commit under way. A store out of reach costs a checkpoint, not the training."""
        running, self._running = self._running, None
        if running is None:
            return
        try:
            running.result()
        except InfrastructureError as error:
            print(f"checkpoint not stored ({error}); the training goes on", file=sys.stderr)
        if self._shelf.ranks.first:
            self._shelf.drop_superseded()

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    def _commit(self, step: int, folder: Path) -> None:
        try:
            self._shelf.commit(step, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
