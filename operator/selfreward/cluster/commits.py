"""The committed artifacts of a run. What is committed never changes, so each manifest is read once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from selfreward_steps.contract.artifact_names import shards as shard_names
from selfreward_steps.store import Manifest, Store
from selfreward_steps.store.digests import digest_of

from selfreward.api import SelfRewardRun
from selfreward.cluster.ownership import Ownership, paired_shards
from selfreward.cluster.spoken import kept_numbers
from selfreward.plan import Graph, Node

_Manifests = Mapping[str, Manifest | None]
Ask = Callable[[Callable[[], _Manifests]], Awaitable[_Manifests]]
"""A way to make a blocking call from the event loop."""
_PARALLEL: Final = 8
"""Look-ups at the same time: in a bucket each takes tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class _Commit:
    inputs_digest: str
    digest: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Found:
    """What is committed, as :class:`selfreward.plan.Observed` has it."""

    committed: dict[str, str] = field(default_factory=dict)
    shards: dict[str, int] = field(default_factory=dict)
    measured: dict[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)


class Commits:
    """The manifests that were found in one run's store, and which of them are the run's own."""

    def __init__(
        self,
        store: Store,
        *,
        ask: Ask = asyncio.to_thread,
        pause: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ask` calls the store, which blocks. `pause`: seconds before a missing artifact is looked for again; more
        than 0 spares a bucket."""
        self._store = store
        self._ask = ask
        self._pause = pause
        self._clock = clock
        self._ownership = Ownership()
        self._found: dict[str, _Commit] = {}
        self._missed_at: dict[str, float] = {}

    async def observe(self, run: SelfRewardRun, graph: Graph, artifacts: Mapping[str, int | None]) -> Found:
        """What of `artifacts` (by name, with their number of shards) is committed.

        A sharded artifact counts once all its shards are there. An artifact that other settings made
        is not the run's and is left out. Raises InfrastructureError when the store is out of reach and
        PermanentError when it refuses.
        """
        names = {artifact: shard_names(artifact, shards) for artifact, shards in artifacts.items()}
        partners = {artifact: paired_shards(graph, graph.producers[artifact]) for artifact in artifacts}
        await self._look(name for each in (*names.values(), *partners.values()) for name in each)
        found = Found()
        for artifact, shards in artifacts.items():
            own = [
                self._found[name]
                for index, name in enumerate(names[artifact])
                if self._is_own(run, graph, graph.producers[artifact], name, None if shards is None else index)
            ]
            if len(own) == len(names[artifact]):
                # As a step that reads all the shards pins them.
                digests = [commit.digest for commit in own]
                found.committed[artifact] = digests[0] if len(own) == 1 else digest_of(digests)
                found.measured[artifact] = [commit.metrics for commit in own]
            if shards is not None:
                found.shards[artifact] = len(own)
        return found

    def _is_own(self, run: SelfRewardRun, graph: Graph, node: Node, name: str, shard: int | None) -> bool:
        commit = self._found.get(name)
        if commit is None:
            return False
        return commit.inputs_digest == self._ownership.inputs_digest(run, graph, node, name, shard, self._digest_of)

    def _digest_of(self, name: str) -> str | None:
        commit = self._found.get(name)
        return None if commit is None else commit.digest

    async def _look(self, names: Iterable[str]) -> None:
        now = self._clock()
        due = [
            name
            for name in dict.fromkeys(names)
            if name not in self._found and now - self._missed_at.get(name, float("-inf")) >= self._pause
        ]
        parts = [due[start::_PARALLEL] for start in range(min(_PARALLEL, len(due)))]
        for part in await asyncio.gather(*(self._ask(partial(self._read, part)) for part in parts)):
            for name, manifest in part.items():
                if manifest is None:
                    self._missed_at[name] = now
                else:
                    self._found[name] = _Commit(manifest.inputs_digest, manifest.digest, _metrics(manifest))

    def _read(self, names: Iterable[str]) -> _Manifests:
        return {name: self._store.read_manifest(name) for name in names}


def _metrics(manifest: Manifest) -> dict[str, float]:
    """The step's numbers; those that are not finite are text there, and no number of a status."""
    kept = manifest.metadata.get("metrics")
    return kept_numbers(kept) if isinstance(kept, dict) else {}
