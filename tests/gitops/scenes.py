"""Runs as Argo CD and Flux meet them: each scene is the resource at one point of its life, its status as decided there.

The rows of single steps are left out: nobody who reads health looks at them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from plan.faults import Fate, Scripted
from plan.runs import a_walk
from plan.walk import Walk
from selfreward.api import APPROVED, PAUSED, RETRY, Phase, Reason, RunStatus
from selfreward.api.schedule import Schedule
from selfreward.plan import Obstacle, stalled_status

Manifest = dict[str, Any]
_ROWS: Final = ("iterations", "servings")


def _at(walk: Walk, place: str | None) -> Walk:
    if place is not None:
        walk.until(place)
    return walk


def _waiting(walk: Walk, beats: int = 3_000) -> Walk:
    for _ in range(beats):
        if walk.status.phase is Phase.WAITING:
            return walk
        walk.step()
    raise AssertionError("never waited")


def _starting() -> Walk:
    walk = a_walk()
    walk.step()
    return walk


def _stalled() -> Walk:
    walk = _at(a_walk(), "dpo-1=Running")
    obstacle = Obstacle(Reason.STORAGE_REFUSED, "s3://bucket/runs: access denied", walk.world.now)
    walk.rewrite(stalled_status(walk.status, obstacle, walk.run.metadata.generation, walk.world.now))
    return walk


def _raised() -> Walk:
    walk = _at(a_walk(), "finished")
    walk.edit(iterations=3)
    return walk


def _suspended() -> Walk:
    walk = _at(a_walk(), "respond-1=Running")
    walk.edit(suspend=True)
    return _at(walk, "suspended")


def _annotated(walk: Walk, name: str, value: str) -> Walk:
    metadata = walk.run.metadata.model_copy(update={"annotations": {name: value}})
    walk.run = walk.run.model_copy(update={"metadata": metadata})
    return walk


_SCENES: Final[Mapping[str, Callable[[], Walk]]] = {
    "not-seen": a_walk,
    "starting": _starting,
    "running": lambda: _at(a_walk(), "dpo-1=Running"),
    "waiting-for-approval": lambda: _waiting(
        _annotated(a_walk(iterations=2, schedule=Schedule(approval=True)), APPROVED, "1")
    ),
    "waiting-for-schedule": lambda: _waiting(a_walk(iterations=2, schedule=Schedule(cron="0 22 * * *"))),
    "suspended": _suspended,
    "paused": lambda: _annotated(_at(a_walk(), "respond-1=Running"), PAUSED, "true"),
    "stalled": _stalled,
    "failed": lambda: _at(a_walk(Scripted({"dpo-1": [Fate.FAIL_PERMANENT]})), "finished"),
    "succeeded": lambda: _at(a_walk(), "finished"),
    "raised": _raised,
}
NAMES: Final = tuple(_SCENES)


@cache
def _walked(name: str) -> Manifest:
    run = _SCENES[name]().run
    manifest: Manifest = run.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    metadata = run.metadata
    named = {"name": metadata.name, "namespace": metadata.namespace, "generation": metadata.generation}
    if metadata.annotations:
        named["annotations"] = dict(metadata.annotations)
    status = run.status if name != "not-seen" else RunStatus()
    shown = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "apiVersion": run.api_version,
        "kind": run.kind,
        "metadata": named,
        "spec": manifest["spec"],
        # What the CRD's schema gives a run that no operator has seen.
        "status": {"observedGeneration": -1}
        if name == "not-seen"
        else {field: value for field, value in shown.items() if field not in _ROWS},
    }


def scene(name: str) -> Manifest:
    """The resource in that scene."""
    return copy.deepcopy(_walked(name))


def acted_on(action: str) -> tuple[Manifest, Manifest]:
    """What an action of Argo CD's is given, and what it must leave."""
    before = scene({"resume": "suspended", "retry": "failed", "approve": "waiting-for-approval"}.get(action, "running"))
    after = copy.deepcopy(before)
    match action:
        case "suspend" | "resume":
            after["spec"]["suspend"] = action == "suspend"
        case "retry":
            after["metadata"]["annotations"] = {RETRY: "argo-cd"}
        case "approve":
            after["metadata"]["annotations"] = {APPROVED: "2"}
        case _:
            raise ValueError(action)
    return before, after
