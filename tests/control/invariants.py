"""Invariants 1 to 6 and 12, checked on everything that the cluster and the store hold. (7 compares whole runs.)"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kube import FakeCluster
from kube.storage import Object
from selfreward.api import ConditionStatus, ConditionType, Keeping, RunStatus, ServingState, StepState, StepStatus
from selfreward.render import metadata as labels
from selfreward_steps.attempt import inputs as step_inputs
from selfreward_steps.contract import parse_config
from selfreward_steps.store import open_store

GPU_SECONDS: Final = 60.0
"""Invariant 5: how long a run that has ended may hold a GPU."""
GONE_SECONDS: Final = 60.0
"""Invariant 6: how long what is deleted may take to go."""
_CHILDREN: Final = ("Job", "PyTorchJob", "TrainJob", "Deployment")
_LEFTOVERS: Final = (*_CHILDREN, "ReplicaSet", "Pod", "Service", "Secret", "NetworkPolicy", "ResourceClaim", "Workload")
_CONFIG: Final = "SELFREWARD_CONFIG"


def rows(status: RunStatus) -> dict[str, StepStatus]:
    """The steps' rows by key."""
    return {row.key: row for iteration in status.iterations for row in iteration.steps}


@dataclass
class Invariants:
    """What has been seen so far, and what must hold of it. :meth:`check` may be called at any moment."""

    cluster: FakeCluster
    store: Path
    """The folder under which every run has its store."""
    _statuses: dict[str, tuple[Object, RunStatus]] = field(default_factory=dict)
    """By uid: each run as last seen, and its status."""
    _started: set[str] = field(default_factory=set)
    _named: set[tuple[str, str]] = field(default_factory=set)
    """Every child that a status has named, by the run's uid and its own name."""
    _commits: dict[Path, bytes] = field(default_factory=dict)
    _gone: dict[str, datetime] = field(default_factory=dict)
    checks: int = 0

    def check(self) -> None:
        """All of them; AssertionError names the one that is broken."""
        self.checks += 1
        self._one_child_an_attempt()
        self._inputs_come_first()
        self._commits_stay()
        raws = {raw["metadata"]["uid"]: raw for raw in self.cluster.peek("SelfRewardRun")}
        for uid, raw in raws.items():
            self._status_goes_forwards(uid, raw)
            self._children_are_named(uid)
            self._gpus_are_free(uid)
            self._engines_hold_what_is_named(uid)
        self._devices_have_one_user()
        self._nothing_remains(set(raws))

    def note_commits(self) -> None:
        """Remember what is committed now, to be compared ever after."""
        for manifest in self.store.rglob("manifest.json"):
            if manifest not in self._commits and not any(part.startswith(".") for part in manifest.parts):
                self._commits |= {path: path.read_bytes() for path in manifest.parent.iterdir() if path.is_file()}

    def _one_child_an_attempt(self) -> None:
        live: dict[tuple[str, str, str], str] = {}
        for kind in _CHILDREN:
            for item in self.cluster.peek(kind):
                told = item["metadata"].get("labels") or {}
                if item["metadata"].get("deletionTimestamp") or _is_over(item):
                    continue
                run = (item["metadata"]["namespace"], told.get(labels.RUN_UID, ""))
                place = (*run, str(told.get(labels.KEY) or told.get(labels.MODEL)))
                name = item["metadata"]["name"]
                assert place not in live, f"invariant 1: {live[place]} and {name} both live"
                live[place] = name

    def _inputs_come_first(self) -> None:
        for kind in _CHILDREN:
            for item in self.cluster.peek(kind):
                uid = item["metadata"]["uid"]
                if uid not in self._started:
                    self._started.add(uid)
                    for text in _configurations(item["spec"]):
                        _check_inputs(item["metadata"]["name"], text)

    def _commits_stay(self) -> None:
        """What a run that asks for it takes with it may go, but not change."""
        for path, content in list(self._commits.items()):
            if path.exists():
                assert path.read_bytes() == content, f"invariant 3: {path} has changed"
            else:
                assert self._takes_its_artifacts(path), f"invariant 3: {path} is gone"
                del self._commits[path]

    def _takes_its_artifacts(self, path: Path) -> bool:
        parts = path.relative_to(self.store.parent).parts
        folders = set(itertools.pairwise(parts))
        owners = [
            raw
            for raw, _ in self._statuses.values()
            if (f"namespace={raw['metadata']['namespace']}", raw["metadata"]["name"]) in folders
        ]
        return any((raw["spec"].get("deletionPolicy") or {}).get("artifacts") == "Delete" for raw in owners)

    def _status_goes_forwards(self, uid: str, raw: Object) -> None:
        known = self._statuses.get(uid)
        if known is not None and known[0]["metadata"]["resourceVersion"] == raw["metadata"]["resourceVersion"]:
            return
        status = RunStatus.model_validate(raw.get("status") or {})
        if known is not None and known[1] != status:
            check_monotonic(known[1], status)
        self._statuses[uid] = (raw, status)

    def _children_are_named(self, uid: str) -> None:
        """A status names a child before it is created: whoever comes after a crash knows what may exist."""
        status = self._statuses[uid][1]
        named = [row.child for row in rows(status).values()] + [serving.child for serving in status.servings]
        self._named |= {(uid, name) for name in named if name is not None}
        for kind in _CHILDREN:
            for item in self.cluster.peek(kind):
                if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences") or []):
                    name = item["metadata"]["name"]
                    assert (uid, name) in self._named, f"invariant 4: {name} was created before status named it"

    def _gpus_are_free(self, uid: str) -> None:
        status = self._statuses[uid][1]
        still = status.finished_at or status.suspended_at
        if still is None or (self.cluster.clock.now() - still).total_seconds() <= GPU_SECONDS:
            return
        holders = [pod for pod in self.cluster.gpu_pods() if pod["metadata"]["labels"].get(labels.RUN_UID) == uid]
        assert not holders, "invariant 5: a GPU is held"

    def _engines_hold_what_is_named(self, uid: str) -> None:
        """Invariant 12: where status says that a kept engine answers for a model, it holds the committed weights."""
        status = self._statuses[uid][1]
        committed = {name: digest for row in rows(status).values() for name, digest in row.outputs.items()}
        for serving in status.servings:
            if serving.keeping is Keeping.NEVER or serving.state is not ServingState.READY:
                continue
            for pod in self._engine_pods(uid):
                if pod["metadata"]["labels"][labels.ENGINE] == serving.child and _is_ready(pod):
                    held = self.cluster.engines.get(pod["metadata"]["uid"])
                    assert held is not None, f"invariant 12: {serving.child} answers and holds nothing"
                    told = (held.model, held.digest)
                    assert told == (serving.model, committed[serving.model]), f"invariant 12: {serving.model} is {told}"

    def _engine_pods(self, uid: str) -> Iterator[Object]:
        home = self._statuses[uid][0]["metadata"]["namespace"]
        for pod in self.cluster.peek("Pod"):
            told = pod["metadata"].get("labels") or {}
            is_here = pod["metadata"]["namespace"] == home
            if is_here and told.get(labels.RUN_UID) == uid and labels.ENGINE in told:
                yield pod

    def _devices_have_one_user(self) -> None:
        """A claim that several pods name is used by one at a time: the others sleep, or have ended."""
        users: dict[str, str] = {}
        for pod in self.cluster.peek("Pod"):
            for claim in pod["spec"].get("resourceClaims") or []:
                if self._uses_devices(pod):
                    name, other = pod["metadata"]["name"], users.get(claim["resourceClaimName"])
                    assert other is None, f"invariant 12: {other} and {name} use one claim at the same time"
                    users[claim["resourceClaimName"]] = name

    def _uses_devices(self, pod: Object) -> bool:
        if labels.ENGINE in (pod["metadata"].get("labels") or {}):
            held = self.cluster.engines.get(pod["metadata"]["uid"])
            return held is not None and held.is_awake
        return bool((pod.get("status") or {}).get("phase") == "Running")

    def _nothing_remains(self, alive: set[str]) -> None:
        now = self.cluster.clock.now()
        for uid, (raw, _) in self._statuses.items():
            if uid in alive:
                continue
            since = self._gone.setdefault(uid, now)
            if (now - since).total_seconds() > GONE_SECONDS:
                left = [f"{kind} {each['metadata']['name']}" for kind, each in self._objects_of(uid)]
                assert not left, f"invariant 6: {left} remain of {raw['metadata']['name']}"

    def _objects_of(self, uid: str) -> Iterator[tuple[str, Object]]:
        for kind in _LEFTOVERS:
            for item in self.cluster.peek(kind):
                if (item["metadata"].get("labels") or {}).get(labels.RUN_UID) == uid:
                    yield kind, item


def check_monotonic(old: RunStatus, new: RunStatus) -> None:
    """Invariant 4, as far as one status and the next tell: it never goes backwards; every finished run has a reason."""
    assert new.iteration >= old.iteration, "invariant 4: iteration"
    assert new.observed_generation >= old.observed_generation, "invariant 4: observedGeneration"
    before, after = rows(old), rows(new)
    for key, row in before.items():
        assert after[key].attempt >= row.attempt, f"invariant 4: the attempt of {key}"
        if row.state is StepState.SUCCEEDED:
            assert after[key].state is StepState.SUCCEEDED, f"invariant 4: {key} had succeeded"
            assert after[key].outputs == row.outputs, f"invariant 4: outputs of {key}"
    assert all(each.reason for each in new.conditions), "invariant 4: a condition without a reason"
    verdicts = [
        each
        for each in new.conditions
        if each.type in (ConditionType.SUCCEEDED, ConditionType.FAILED) and each.status is ConditionStatus.TRUE
    ]
    assert len(verdicts) == (new.finished_at is not None), "invariant 4: a finished run has one verdict"


def _check_inputs(name: str, text: str) -> None:
    """Invariant 2. Of a step whose shards follow another's one by one, the first must be there."""
    config = parse_config(text)
    store = open_store(config.store.uri)
    for role, ref in config.inputs.items():
        artifacts = step_inputs.artifacts_of(ref, None, config.shards)
        committed = [manifest for each in artifacts if (manifest := store.read_manifest(each)) is not None]
        wanted = 1 if ref.shards is not None and ref.digest is None else len(artifacts)
        assert len(committed) >= wanted, f"invariant 2: {name} has started before its {role}"
        if ref.digest is not None and len(artifacts) == 1:
            assert committed[0].digest == ref.digest, f"invariant 2: {name} was given another {role}"


def _configurations(value: Any) -> Iterator[str]:
    """Step configurations in the environment of a workload's containers, whatever the workload's shape."""
    match value:
        case {"name": name, "value": str(text)} if name == _CONFIG:
            yield text
        case dict():
            for each in value.values():
                yield from _configurations(each)
        case list():
            for each in value:
                yield from _configurations(each)


def _is_ready(pod: Object) -> bool:
    """Whether a Service sends requests to the pod: to one that is being deleted it sends none, whatever it says."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _is_over(item: Object) -> bool:
    done = ("Complete", "Failed", "Succeeded")
    conditions = (item.get("status") or {}).get("conditions") or []
    return any(each["type"] in done and each["status"] == "True" for each in conditions)
