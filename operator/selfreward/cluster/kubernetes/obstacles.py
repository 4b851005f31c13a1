"""Obstacles as Kubernetes shows them: pods that cannot start, and what the API server or the store refuses. Pure.

Each is one sentence that names the field somebody must look at. Whether one is told, and when, is decided in
:mod:`selfreward.plan.obstacles`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from selfreward_steps.contract import StepName
from selfreward_steps.errors import InfrastructureError, PermanentError

from selfreward.api import Reason, SelfRewardRun, SelfRewardRunSpec
from selfreward.cluster.kubernetes.children import RunObjects, place_of
from selfreward.cluster.kubernetes.errors import Refused
from selfreward.cluster.kubernetes.pending import pending_of
from selfreward.cluster.kubernetes.pods import is_over, statuses
from selfreward.cluster.kubernetes.resources import View, condition_of, is_going, label_of
from selfreward.cluster.kubernetes.verdicts import verdict_of
from selfreward.cluster.kubernetes.warnings import NO_POD, NO_VOLUME, Warned, Warnings, without_pod
from selfreward.plan import Obstacle
from selfreward.render.images import workload_name
from selfreward.render.metadata import ENGINE, KEY, MODEL, STEP
from selfreward.render.secrets import secret_refs

_NAMED: Final = re.compile(r'["/]([a-z0-9][-a-z0-9.]*)')
"""`secret "hub" not found`, `couldn't find key token in Secret team/hub`."""


def waiting(objects: RunObjects) -> Iterator[View]:
    """Children without a pod, and pods without a container: a warning may say what they wait for."""
    yield from _without_pods(objects)
    yield from _without_containers(objects)


def obstacles(run: SelfRewardRun, objects: RunObjects, warnings: Warnings) -> Iterator[Obstacle]:
    """What keeps children from running that somebody must mend."""
    yield from pod_obstacles(run, objects.pods)
    for workload in _without_pods(objects):
        if (warned := _refused(workload, warnings)) is not None:
            yield _obstacle(run, workload, Reason.REFUSED, warned)
    for pod in _without_containers(objects):
        if (warned := warnings.of(pod, NO_VOLUME)) is not None:
            yield _obstacle(run, pod, Reason.CANNOT_START, warned)


def _without_pods(objects: RunObjects) -> Iterator[View]:
    places = {place_of(pod) for pod in objects.pods if not is_over(pod)}
    for workload in objects.workloads:
        has_ended = not label_of(workload, MODEL) and verdict_of(workload) is not None
        is_held = is_going(workload) or workload["spec"].get("suspend")
        if place_of(workload) not in places and not has_ended and not is_held:
            yield workload


def _without_containers(objects: RunObjects) -> Iterator[View]:
    return (pod for pod in objects.pods if not is_over(pod) and any(map(_creates, statuses(pod))))


def _refused(workload: View, warnings: Warnings) -> Warned | None:
    """A Deployment says itself that its pods are refused; of the others only events tell."""
    said = condition_of(workload, "ReplicaFailure")
    if said is None:
        return warnings.of(workload, NO_POD)
    message = without_pod(str(said.get("message") or ""))
    since = datetime.fromisoformat(said["lastTransitionTime"])
    return Warned(str(said.get("reason") or "FailedCreate"), message, since)


def _creates(status: View) -> bool:
    return ((status.get("state") or {}).get("waiting") or {}).get("reason") in ("ContainerCreating", "PodInitializing")


def _obstacle(run: SelfRewardRun, item: View, reason: Reason, warned: Warned) -> Obstacle:
    place = _place(item)
    field = _field(run.spec, item, reason, warned.message)
    return Obstacle(reason, f"{field}: {place}: {warned.reason}: {warned.message}", warned.since)


def pod_obstacles(run: SelfRewardRun, pods: Sequence[View]) -> Iterator[Obstacle]:
    """Pods that cannot start, one obstacle for each step and model."""
    for place in sorted({_place(pod) for pod in pods}):
        own = [pod for pod in pods if _place(pod) == place]
        waits = pending_of(own)
        if waits is not None and waits.obstacle is not None:
            field = _field(run.spec, own[0], waits.obstacle, waits.message)
            yield Obstacle(waits.obstacle, f"{field}: {place}: {waits.reason}: {waits.message}", waits.since)


def _place(item: View) -> str:
    """The step, or the model that a server serves; a kept engine's name before it was given one."""
    return label_of(item, KEY) or label_of(item, MODEL) or label_of(item, ENGINE)


def refusal(run: SelfRewardRun, error: Refused | PermanentError | InfrastructureError, now: datetime) -> Obstacle:
    """What the API server, or the store, does not let the operator do at `now`; a store may also not answer."""
    if error.reason in _REFUSALS:
        return Obstacle(_REFUSALS[error.reason], str(error), now)
    told = f"{error.reason}: {error}" if error.reason else str(error)
    if isinstance(error, PermanentError | InfrastructureError):
        return Obstacle(Reason.STORAGE_REFUSED, f"spec.storage ({run.spec.storage.uri}): {told}", now)
    return Obstacle(Reason.REFUSED, told, now)


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
