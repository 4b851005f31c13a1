"""Each API call answered wrongly once, each watch event wrong once: the run ends as if nothing had been.

A fault strikes one part of the calls in each of :data:`PARTS` runs, so that every call is struck in one of them.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from control.bench import bench, outputs, rows, small_manifest
from kube import Fault, FaultKind, Logged, WatchFault, WatchFaultKind
from selfreward.api import Phase

PARTS = 4
FAULTS = (
    *(Fault(answer=code) for code in (409, 422, 500, 503)),
    Fault(answer=429, retry_after=1),
    Fault(FaultKind.TIMEOUT_AFTER_COMMIT),
    Fault(FaultKind.RESET_BEFORE_COMMIT),
    Fault(FaultKind.RESET_AFTER_COMMIT),
)
Call = tuple[str, str, str, int]
"""Verb, plural, name, and which of those it is."""
_undisturbed: dict[str, tuple[frozenset[Call], dict[str, str]]] = {}


@dataclass
class Calls:
    """Tells calls apart, the same ones in every run, and decides which are struck."""

    strike: Callable[[Call], Fault | None] = lambda call: None
    seen: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    struck: set[Call] = field(default_factory=set)

    def __call__(self, request: Logged) -> Fault | None:
        name = "" if request.plural == "events" else request.name
        kind = (request.verb, request.plural, name)
        self.seen[kind] += 1
        call = (*kind, self.seen[kind])
        fault = self.strike(call)
        if fault is not None:
            self.struck.add(call)
        return fault

    @property
    def all(self) -> frozenset[Call]:
        return frozenset((*kind, n + 1) for kind, count in self.seen.items() for n in range(count))


async def undisturbed(folder: Path) -> tuple[frozenset[Call], dict[str, str]]:
    """The calls that a run costs when nothing goes wrong, and what it commits."""
    if not _undisturbed:
        folder.mkdir()
        calls = Calls()
        async with bench(folder) as made:
            made.cluster.faults.decide = calls
            made.cluster.create(small_manifest(folder))
            made.start()
            status = await made.finished()
        _undisturbed["run"] = calls.all, outputs(status)
    return _undisturbed["run"]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_each_call_is_struck_once(tmp_path: Path, fault: Fault, part: int) -> None:
    usual, commits = await undisturbed(tmp_path / "undisturbed")
    calls = Calls(lambda call: fault if zlib.crc32(repr(call).encode()) % PARTS == part else None)
    async with bench(tmp_path) as made:
        made.cluster.faults.decide = calls
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        status = await made.finished()
        spent = sum(calls.seen.values())
        made.cluster.faults.clear()
        await made.cluster.idle(90)
        made.check()
    assert status.phase is Phase.SUCCEEDED
    assert {row.attempt for row in rows(status).values()} == {1}
    assert outputs(status) == commits
    assert spent <= 2 * len(usual)
    ours = {call for call in usual if zlib.crc32(repr(call).encode()) % PARTS == part}
    assert len(ours & calls.struck) >= 0.9 * len(ours), ours - calls.struck


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", [kind for kind in WatchFaultKind if kind is not WatchFaultKind.STALL])
async def test_each_watch_event_is_struck_once(tmp_path: Path, kind: WatchFaultKind, part: int) -> None:
    _, commits = await undisturbed(tmp_path / "undisturbed")
    async with bench(tmp_path) as made:
        made.cluster.faults.on_watch(*(WatchFault(kind, nth=nth) for nth in range(part + 1, 2000, PARTS)))
        made.cluster.create(small_manifest(tmp_path))
        made.start()
        status = await made.finished()
        assert len(made.cluster.faults.injected) >= 10
        await made.cluster.idle(90)
        made.check()
    assert status.phase is Phase.SUCCEEDED
    assert {row.attempt for row in rows(status).values()} == {1}
    assert outputs(status) == commits
