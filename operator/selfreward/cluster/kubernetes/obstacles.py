"""What keeps a run from going on that only somebody can mend, in one sentence that names the field. Pure.

Three sources: pods that cannot start, a server that does not come up, and what the API server or the store refuses.
This module must not decide how long an obstacle must last before it is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from selfreward_steps.contract import StepName
from selfreward_steps.errors import PermanentError

from selfreward.api import Reason, RunStatus, SelfRewardRun, SelfRewardRunSpec, ServingState
from selfreward.cluster.kubernetes.errors import Refused
from selfreward.cluster.kubernetes.resources import View, label_of
from selfreward.cluster.kubernetes.waiting import waiting_of
from selfreward.render.images import workload_name
from selfreward.render.metadata import KEY, MODEL, STEP
from selfreward.render.secrets import secret_refs

STUCK_SECONDS: Final = 30.0
"""How long a pod may say that it cannot start before it counts: an image pull may fail once."""
_NAMED: Final = re.compile(r'["/]([a-z0-9][-a-z0-9.]*)')
"""`secret "hub" not found`, `couldn't find key token in Secret team/hub`."""
_FAILED_STARTS: Final = 2
"""Starts of a server that must have failed: one may be chance."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a run cannot go on."""

    reason: Reason
    message: str


def pod_obstacle(run: SelfRewardRun, pods: Sequence[View], now: datetime) -> Obstacle | None:
    """Pods that have not been able to start for a while."""
    for place in sorted({label_of(pod, KEY) or label_of(pod, MODEL) for pod in pods}):
        own = [pod for pod in pods if place in (label_of(pod, KEY), label_of(pod, MODEL))]
        waits = waiting_of(own)
        if waits is None or waits.stuck is None or (now - waits.since).total_seconds() < STUCK_SECONDS:
            continue
        field = _field(run.spec, own[0], waits.stuck, waits.message)
        return Obstacle(waits.stuck, f"{field}: {place}: {waits.reason}: {waits.message}")
    return None


def serving_obstacle(status: RunStatus) -> Obstacle | None:
    """A server that has failed to start more than once: the model does not load, or the command is wrong."""
    for serving in status.servings:
        if serving.state is not ServingState.READY and serving.failures >= _FAILED_STARTS:
            why = f": {serving.reason}: {serving.message}" if serving.message else ""
            message = f"spec.serving: the server of {serving.model} did not come up {serving.failures} times{why}"
            return Obstacle(Reason.SERVING_FAILED, message)
    return None


def refusal(run: SelfRewardRun, error: Refused | PermanentError) -> Obstacle:
    """What the API server, or the store, does not let the operator do."""
    if error.reason in _REFUSALS:
        return Obstacle(_REFUSALS[error.reason], str(error))
    told = f"{error.reason}: {error}" if error.reason else str(error)
    if isinstance(error, PermanentError):
        return Obstacle(Reason.STORAGE_REFUSED, f"spec.storage ({run.spec.storage.uri}): {told}")
    return Obstacle(Reason.REFUSED, told)


_REFUSALS: Final[Mapping[str, Reason]] = {
    "TrainingOperatorMissing": Reason.TRAINING_OPERATOR_MISSING,
    "NameTaken": Reason.NAME_TAKEN,
}


def _field(spec: SelfRewardRunSpec, pod: View, reason: Reason, message: str) -> str:
    """The field of the spec that somebody must look at."""
    step = label_of(pod, STEP)
    workload = f"spec.workloads.{workload_name(StepName(step)) if step else 'serving'}"
    match reason:
        case Reason.IMAGE_PULL_FAILED:
            return f"{workload}.image"
        case Reason.SECRET_MISSING:
            named = set(_NAMED.findall(message))
            return next((field for field, name in _references(spec) if name in named), f"{workload}.env")
        case Reason.UNSCHEDULABLE if "persistentvolumeclaim" in message and spec.storage.claim_name in _NAMED.findall(
            message
        ):
            return "spec.storage.claimName"
        case _:
            return workload


def _references(spec: SelfRewardRunSpec) -> Iterator[tuple[str, str]]:
    """Every Secret and ConfigMap that the spec names, after the field that names it."""
    yield from ((field, ref.name) for field, ref in secret_refs(spec).items())
    template = spec.judge.custom_template
    ref = None if template is None else template.config_map_ref
    whole: tuple[tuple[str, str | None], ...] = (
        ("spec.judge.customTemplate.configMapRef", None if ref is None else ref.name),
        ("spec.storage.secret", spec.storage.secret),
        ("spec.training.trackerSecret", spec.training.tracker_secret),
    )
    yield from ((field, name) for field, name in whole if name is not None)
