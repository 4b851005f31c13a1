"""The children of a run, as a decision sees them, from the objects of the cluster. Pure.

A child is its workload together with its pods: it has ended only when none of them runs any more, and it is gone
only when none of them is left, whatever the workload says. This module must not ask the API server anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from selfreward_steps.contract import FailureClass, StepResult

from selfreward.api import SelfRewardRun, ServingState
from selfreward.cluster.kubernetes.engines import Engines, assigned_model, engine_failure, engine_phase
from selfreward.cluster.kubernetes.failures import container_failure, workload_failures
from selfreward.cluster.kubernetes.logs import Heard
from selfreward.cluster.kubernetes.pending import Pending, pending_of, serving_words
from selfreward.cluster.kubernetes.pods import is_over, is_ready, phase_of, result_of, running_since, shard_of, statuses
from selfreward.cluster.kubernetes.queues import admitted_at, is_queued
from selfreward.cluster.kubernetes.resources import View, condition_of, is_going, label_of, name_of, number_of, uid_of
from selfreward.cluster.kubernetes.verdicts import Verdict, verdict_of
from selfreward.cluster.kubernetes.warnings import without_pod
from selfreward.cluster.progress import summed_progress
from selfreward.plan import (
    ChildKind,
    ChildPhase,
    ChildProgress,
    Failure,
    Graph,
    ObservedChild,
    serving_name,
    step_name,
)
from selfreward.render import Images
from selfreward.render.metadata import ATTEMPT, ENGINE, KEY, MODEL
from selfreward.render.revision import REVISION, serving_revision, step_revision

_CRASHES: Final = 3
"""Restarts after which a server that once answered is given up: the kubelet alone does not mend it."""


@dataclass(frozen=True, slots=True)
class RunObjects:
    """The objects of one run that the cluster has."""

    workloads: Sequence[View] = ()
    """Jobs, training jobs and Deployments."""
    pods: Sequence[View] = ()


HeardOf = Callable[[View], Heard]


def observed_children(
    run: SelfRewardRun, graph: Graph, objects: RunObjects, heard: HeardOf, engines: Engines, images: Images
) -> Iterator[ObservedChild]:
    """Every child of the run that is there."""
    pods: dict[tuple[str, str, int], list[View]] = {}
    for pod in objects.pods:
        pods.setdefault(place_of(pod), []).append(pod)
    for workload in objects.workloads:
        own = sorted(pods.pop(place_of(workload), []), key=shard_of)
        if label_of(workload, MODEL):
            yield _serving(run, workload, own, engines, images)
        else:
            yield _step(run, graph, workload, own, heard, images)
    for (key, server, attempt), left in pods.items():
        if not all(is_over(pod) for pod in left):
            yield _leftover(run, graph, key, server, attempt, left)


def place_of(item: View) -> tuple[str, str, int]:
    """Step, server (its model, or the name of a kept engine) and attempt: one of the first two is empty."""
    server = label_of(item, ENGINE) or label_of(item, MODEL)
    attempt = label_of(item, ATTEMPT)
    return label_of(item, KEY), server, 1 if not attempt else number_of(attempt)


def _step(
    run: SelfRewardRun, graph: Graph, workload: View, pods: Sequence[View], heard: HeardOf, images: Images
) -> ObservedChild:
    verdict = verdict_of(workload)
    phase = _phase(verdict, pods)
    key, _, attempt = place_of(workload)
    node = graph.by_key.get(key)
    waits = None if phase is not ChildPhase.PENDING else pending_of(pods)
    failures: tuple[Failure, ...] = ()
    if phase is ChildPhase.FAILED and verdict is not None:
        failures = workload_failures(pods, verdict.message, lambda pod: heard(pod).fallen)
    return ObservedChild(
        name=name_of(workload),
        uid=uid_of(workload),
        kind=ChildKind.JOB if node is None else node.kind,
        phase=phase,
        created_at=_created(workload),
        key=key,
        attempt=attempt,
        running_at=min((since for pod in pods if (since := running_since(pod)) is not None), default=None),
        progress=_progress(pods, node.shards if node is not None else None, heard),
        results=_results(pods),
        failures=failures,
        waiting=_unstarted(workload) if waits is None and phase is ChildPhase.PENDING else _words(waits),
        deleting=is_going(workload),
        queued=is_queued(workload, pods),
        admitted_at=admitted_at(workload, pods),
        outdated=node is not None and _is_outdated(workload, step_revision(run, node.step, images)),
    )


def _is_outdated(workload: View, revision: str) -> bool:
    """Whether a workload was made for another revision. An older operator's bears none, and is left alone."""
    return bool((workload["metadata"].get("annotations") or {}).get(REVISION, revision) != revision)


def _phase(verdict: Verdict | None, pods: Sequence[View]) -> ChildPhase:
    if verdict is not None and all(is_over(pod) for pod in pods):
        return ChildPhase.SUCCEEDED if verdict.succeeded else ChildPhase.FAILED
    # One shard that runs is a step that runs; between two shards it goes on running.
    started = verdict is not None or any(phase_of(pod) in ("Running", "Succeeded") for pod in pods)
    return ChildPhase.RUNNING if started else ChildPhase.PENDING


def _results(pods: Sequence[View]) -> tuple[StepResult, ...]:
    return tuple(result for pod in pods if is_over(pod) and (result := result_of(pod)) is not None)


def _progress(pods: Sequence[View], shards: int | None, heard: HeardOf) -> ChildProgress | None:
    spoken = [(heard(pod), is_over(pod)) for pod in pods if phase_of(pod) != "Failed"]
    missing = (shards or 1) - len(spoken)
    return summed_progress([*spoken, *((Heard(), False) for _ in range(missing))])


def _unstarted(workload: View) -> str:
    """Why a workload has no pod yet."""
    if workload["spec"].get("suspend"):
        return "suspended: waits for its queue's quota"
    return "waits for its controller to create its pods"


def _words(waits: Pending | None) -> str:
    return "" if waits is None else f"{waits.reason}: {waits.message}"


def _serving(
    run: SelfRewardRun, deployment: View, pods: Sequence[View], engines: Engines, images: Images
) -> ObservedChild:
    live = [pod for pod in pods if not is_over(pod) and not is_going(pod)]
    failure = _serving_failure(run, name_of(deployment), live)
    if label_of(deployment, ENGINE):
        model, answers = assigned_model(live), engine_phase(live, engines)
        failure = failure or engine_failure(live, engines)
    else:
        model = label_of(deployment, MODEL)
        answers = ChildPhase.READY if any(is_ready(pod) for pod in live) else None
    phase = ChildPhase.PENDING
    if failure is not None:
        phase = ChildPhase.FAILED
    elif answers is not None:
        phase = answers
    elif any(phase_of(pod) == "Running" for pod in live):
        phase = ChildPhase.RUNNING
    refusal = condition_of(deployment, "ReplicaFailure")
    words = without_pod(str(refusal.get("message"))) if refusal is not None and not live else serving_words(live)
    if any(is_ready(pod) for pod in live):
        words = "ready, but its agent's log does not say yet that it serves what it was told"
    return ObservedChild(
        name=name_of(deployment),
        uid=uid_of(deployment),
        kind=ChildKind.SERVING,
        phase=phase,
        created_at=_created(deployment),
        model=model,
        attempt=place_of(deployment)[2],
        running_at=min((since for pod in live if (since := running_since(pod)) is not None), default=None),
        failures=() if failure is None else (failure,),
        waiting=words if phase in (ChildPhase.PENDING, ChildPhase.RUNNING) else "",
        deleting=is_going(deployment),
        queued=is_queued(deployment, live),
        admitted_at=admitted_at(deployment, live),
        outdated=_is_outdated(deployment, serving_revision(run, images)),
    )


def _serving_failure(run: SelfRewardRun, name: str, pods: Sequence[View]) -> Failure | None:
    """Why a server has failed, if it has.

    One that ended before it ever answered has: the kubelet's restarts would not help it. One that has answered may be
    restarted a few times. While another replica answers, nothing has failed.
    """
    if any(is_ready(pod) for pod in pods):
        return None
    answered = any(each.child == name and each.state is ServingState.READY for each in run.status.servings)
    for pod in pods:
        for status in statuses(pod):
            ended = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated")
            if ended is None or (not ended.get("exitCode") and status["name"] != "server"):
                continue
            # A kept engine that has answered for one model is not answering yet for the next.
            goes_on = answered or (bool(label_of(pod, ENGINE)) and "running" in (status.get("state") or {}))
            if goes_on and int(status.get("restartCount") or 0) < _CRASHES:
                continue
            failure = container_failure(status["name"], ended)
            # The kubelet's SIGTERM after a failed probe is the server's fault, not the cluster's.
            if failure.failure_class is FailureClass.INFRASTRUCTURE and failure.reason == "Stopped":
                return Failure(FailureClass.APPLICATION, "ServerHung", f"container {status['name']} stopped answering")
            return failure
    return None


def _leftover(
    run: SelfRewardRun, graph: Graph, key: str, server: str, attempt: int, pods: Sequence[View]
) -> ObservedChild:
    """Pods whose workload is gone: they may hold a GPU, so the child is not gone."""
    name, engine, model = run.metadata.name, label_of(pods[0], ENGINE), label_of(pods[0], MODEL)
    node = graph.by_key.get(key)
    return ObservedChild(
        name=engine or (serving_name(name, model, attempt) if model else step_name(name, key, attempt)),
        uid=f"pods-of-{uid_of(pods[0])}",
        kind=ChildKind.SERVING if server else (ChildKind.JOB if node is None else node.kind),
        phase=ChildPhase.RUNNING,
        created_at=_created(pods[0]),
        key=key,
        model=model,
        attempt=attempt,
        waiting="its workload is gone",
        deleting=all(is_going(pod) for pod in pods if not is_over(pod)),
    )


def _created(item: View) -> datetime:
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"])
