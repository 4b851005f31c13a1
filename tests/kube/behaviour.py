"""What a pod does: one frozen script, and the playbook that hands scripts to pods.

It must not act: `simulators.kubelet` plays the script.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from selfreward.render import metadata as labels

from kube.spelling import expanded
from kube.storage import Object


class Ending(StrEnum):
    """How a container, or its pod, comes to its end."""

    EXIT = "Exit"
    """With `exit_code`, after `runs` seconds."""
    HANG = "Hang"
    """Not at all, and silently."""
    OOM_KILLED = "OOMKilled"
    """137, reason OOMKilled."""
    EVICTED = "Evicted"
    """By the kubelet: phase Failed, reason Evicted, DisruptionTarget."""
    PREEMPTED = "Preempted"
    """Deleted by the scheduler for a pod of higher priority, DisruptionTarget."""
    NODE_LOST = "NodeLost"
    """The node falls silent: DisruptionTarget, deleted, but gone only after `NODE_LOSS_SECONDS`."""


class Blocked(StrEnum):
    """Why a pod does not start."""

    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL = "ImagePullBackOff"
    INVALID_IMAGE = "InvalidImageName"
    CONFIG_ERROR = "CreateContainerConfigError"
    """A Secret or ConfigMap it names is missing."""
    CREATING = "ContainerCreating"
    """A volume that does not mount, a slow pull."""


@dataclass(frozen=True)
class Behaviour:
    """The script of one pod. Times are virtual seconds, counted from the container's start unless said otherwise."""

    starts: float = 1
    """From the pod's creation to its first container."""
    blocked: Blocked | None = None
    """What keeps it from starting,"""
    blocked_for: float | None = None
    """and how long; None: for ever."""
    blocked_message: str = ""
    """What the condition or the waiting container says; a usual text if empty."""
    init_exit_code: int = 0
    """Of the init containers, each of which takes half a second."""
    init_message: str = ""
    """Their termination message when they fail."""
    runs: float | None = None
    """How long the main container runs; None: one second for a step, for ever for a server."""
    ready_after: float = 1
    """A server's readiness; inf: never."""
    exchange_after: float = 1
    """How long a kept engine takes for another model's weights; inf: for ever."""
    exchange_fails: frozenset[str] = frozenset()
    """Models whose weights a kept engine does not take."""
    ending: Ending = Ending.EXIT
    exit_code: int = 0
    message: str | None = None
    """Termination message; None: a truthful StepResult."""
    result_reason: str = "Unexpected"
    """Reason in the StepResult of a failing step."""
    commits: bool | None = None
    """Whether its artifacts are committed; None: if it exits with 0."""
    commits_after: float | None = None
    """When; None: just before the end."""
    progress_every: float = 10
    """Between two progress lines."""
    silent_after: float | None = None
    """No progress line from then on."""
    lines: tuple[tuple[float, str], ...] = ()
    """Further lines, by time."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """In the StepResult and in the manifests' metadata."""
    stops_after: float = 0.5
    """From SIGTERM to the end; more than the grace period: killed."""


@dataclass(frozen=True)
class StepPod:
    """A pod as the playbook sees it."""

    pod: Object
    kind: str
    """Kind of the workload it belongs to: Job, PyTorchJob, TrainJob or Deployment."""
    rank: int = 0
    """Of a training pod; 0 in all others."""

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"]["uid"])

    @property
    def is_server(self) -> bool:
        """Whether it is meant to run for ever, and is ready only after a while."""
        return self.kind == "Deployment"

    @property
    def is_engine(self) -> bool:
        """Whether it is a server that serves what it is told."""
        return bool(self._label(labels.ENGINE))

    @property
    def key(self) -> str:
        """Step of the graph, such as `respond-1`; empty for a server."""
        return self._label(labels.KEY)

    @property
    def step(self) -> str:
        return self._label(labels.STEP)

    @property
    def model(self) -> str:
        """Model that a server serves; empty for a step."""
        return self._label(labels.MODEL)

    @property
    def attempt(self) -> int:
        return int(self._label(labels.ATTEMPT) or 1)

    @property
    def shard(self) -> int | None:
        """Completion index of an Indexed Job."""
        annotations = self.pod["metadata"].get("annotations") or {}
        index = annotations.get("batch.kubernetes.io/job-completion-index")
        return None if index is None else int(index)

    @property
    def environment(self) -> dict[str, str]:
        """The literal environment of the main container, as it sees it."""
        found: dict[str, str] = {}
        for entry in self.pod["spec"]["containers"][0].get("env") or []:
            if "value" in entry:
                found[entry["name"]] = expanded(entry["value"], found)
        return found

    @property
    def config(self) -> dict[str, Any] | None:
        """Its step configuration, None for a server."""
        text = self.environment.get("SELFREWARD_CONFIG")
        return None if text is None else json.loads(text)

    def _label(self, name: str) -> str:
        return str((self.pod["metadata"].get("labels") or {}).get(name, ""))


Does = Behaviour | Callable[[StepPod], Behaviour]


@dataclass
class _Rule:
    equal: dict[str, object]
    does: Does
    left: int | None

    def matches(self, pod: StepPod) -> bool:
        return self.left != 0 and all(getattr(pod, name) == value for name, value in self.equal.items())


_KEYS: Final = frozenset({"kind", "key", "step", "attempt", "shard", "rank", "model", "name"})


class Playbook:
    """Which pod does what; the newest matching rule wins."""

    def __init__(self) -> None:
        self.default: Does = Behaviour()
        self._rules: list[_Rule] = []

    def on(self, does: Does, *, times: int | None = None, **equal: object) -> None:
        """Pods with these attributes do `does`, the first `times` of them (None: all)."""
        unknown = set(equal) - _KEYS
        if unknown:
            raise TypeError(f"a pod has no {', '.join(sorted(unknown))}: use {', '.join(sorted(_KEYS))}")
        self._rules.append(_Rule(equal, does, times))

    def behaviour_of(self, pod: StepPod) -> Behaviour:
        """The script of `pod`; counts against the rule's `times`."""
        rule = next((rule for rule in reversed(self._rules) if rule.matches(pod)), None)
        if rule is not None and rule.left is not None:
            rule.left -= 1
        does = self.default if rule is None else rule.does
        return does(pod) if callable(does) else does
