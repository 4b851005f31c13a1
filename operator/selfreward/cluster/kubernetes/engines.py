"""Kept engines: what their pods were told to serve, and what the agents in them say of it.

The operator opens no connection to a pod. It tells one by an annotation, and hears it by its agent's log. An agent's
word counts only for the assignment that it is about: readiness alone may be that of another, or of none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError
from selfreward_steps.contract import Assignment, EngineReport, EngineState, FailureClass

from selfreward.api import SelfRewardRun
from selfreward.cluster.kubernetes.client import KubernetesClient
from selfreward.cluster.kubernetes.errors import Conflict, KubernetesError, NotFound
from selfreward.cluster.kubernetes.pods import is_over, is_ready, statuses
from selfreward.cluster.kubernetes.resources import PODS, Object, View, is_going, label_of, name_of, uid_of, version_of
from selfreward.cluster.spoken import kept_text
from selfreward.plan import EXCHANGE_FAILED, AssignModel, ChildPhase, Failure
from selfreward.render.kept import AGENT, assignment_patch
from selfreward.render.metadata import ASSIGNMENT, ENGINE

_LINES: Final = 20
_PARALLEL: Final = 8
_TRIES: Final = 3
_SETTLED: Final = frozenset({EngineState.SERVING, EngineState.ASLEEP, EngineState.FAILED})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Heard:
    report: EngineReport
    restarts: tuple[int, ...]
    """Of the pod's containers when it was heard: what was said before one of them started again is old."""


class Engines:
    """What the agents of kept engines have said, by pod."""

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client
        self._heard: dict[str, _Heard] = {}
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def read(self, pods: Iterable[View]) -> None:
        """Hear the agents that have not said yet that they have done what they were told."""
        await asyncio.gather(*(self._read(pod) for pod in pods if self._is_due(pod)))

    def state(self, pod: View) -> tuple[EngineState, str]:
        """How far the pod is with what it was told, and why no further."""
        told, heard = assignment_of(pod), self._heard.get(uid_of(pod))
        if told is not None and told.model is None and not _has_agent(pod):
            # It will find that it is to sleep before it does anything else.
            return EngineState.ASLEEP, ""
        if told is None or heard is None or heard.report.number != told.number:
            return EngineState.CHANGING, ""
        return heard.report.state, heard.report.message

    async def tell(self, run: SelfRewardRun, assign: AssignModel, pod: View) -> Object | None:
        """Tell one pod what to serve, unless it was told so, or what was decided later; returns it as it is now.

        A starting pod's status is written again and again, so a conflict is met by another look at the pod.
        """
        for _ in range(_TRIES):
            with contextlib.suppress(Conflict):
                return await self._tell(run, assign, pod)
        return None

    async def _tell(self, run: SelfRewardRun, assign: AssignModel, pod: View) -> Object | None:
        namespace, name = run.metadata.namespace, name_of(pod)
        try:
            fresh = await self._client.get(PODS, namespace, name)
            if uid_of(fresh) != uid_of(pod) or is_going(fresh):
                return None
            # The version of the run that was decided on: a decision of an operator that has been overtaken is void.
            number = int(run.metadata.resource_version or 0)
            known = assignment_of(fresh)
            if is_told(fresh, assign) or (known is not None and known.number >= number):
                return fresh
            assignment = Assignment(number=number, model=assign.model, digest=assign.digest)
            return await self._client.merge(PODS, namespace, name, assignment_patch(assignment, str(version_of(fresh))))
        except NotFound:
            return None

    def keep(self, uids: Collection[str]) -> None:
        """Forget what was heard of all pods but those with these uids."""
        self._heard = {uid: heard for uid, heard in self._heard.items() if uid in uids}

    def _is_due(self, pod: View) -> bool:
        told, heard = assignment_of(pod), self._heard.get(uid_of(pod))
        if told is None or not _has_agent(pod):
            return False
        is_known = heard is not None and heard.report.number == told.number and heard.restarts == _restarts(pod)
        return heard is None or not is_known or heard.report.state not in _SETTLED

    async def _read(self, pod: View) -> None:
        namespace, name = pod["metadata"]["namespace"], name_of(pod)
        try:
            async with self._slots:
                text = await self._client.log(namespace, name, AGENT, _LINES)
        except KubernetesError as error:
            logger.debug("log of %s/%s cannot be read: %s", namespace, name, error)
            return
        report = newest_report(text)
        if report is not None:
            self._heard[uid_of(pod)] = _Heard(report, _restarts(pod))
        else:
            self._heard.pop(uid_of(pod), None)


def newest_report(text: str) -> EngineReport | None:
    """The last report in a log whose lines begin with their times."""
    for line in reversed(text.splitlines()):
        try:
            report = EngineReport.model_validate_json(line.partition(" ")[2])
        except ValidationError:
            continue
        return report.model_copy(update={"message": kept_text(report.message)})
    return None


def engines_of(pods: Iterable[View]) -> Iterator[View]:
    """Of these pods, those of kept engines that live."""
    return (pod for pod in pods if label_of(pod, ENGINE) and not is_over(pod) and not is_going(pod))


def assignment_of(pod: View) -> Assignment | None:
    """What a pod was told, if it was."""
    text = (pod["metadata"].get("annotations") or {}).get(ASSIGNMENT)
    try:
        return None if text is None else Assignment.model_validate_json(text)
    except ValidationError:
        return None


def is_told(pod: View, assign: AssignModel) -> bool:
    """Whether the pod was told just this."""
    told = assignment_of(pod)
    return told is not None and (told.model, told.digest) == (assign.model, assign.digest)


def assigned_model(pods: Sequence[View]) -> str:
    """The model that all these pods were told to serve; empty where there is none, or not one for all."""
    models = {(told := assignment_of(pod)) and told.model for pod in pods}
    return next(iter(models)) or "" if len(models) == 1 else ""


def engine_phase(pods: Sequence[View], engines: Engines) -> ChildPhase | None:
    """Whether an engine's living pods sleep, or answer as they were told; None while they do not all do as they were.

    A pod that is ready and has not said that it is what it was told would answer for another model.
    """
    states = [engines.state(pod)[0] for pod in pods]
    if pods and all(state is EngineState.ASLEEP for state in states):
        return ChildPhase.ASLEEP
    ready = [state for pod, state in zip(pods, states, strict=True) if is_ready(pod)]
    return ChildPhase.READY if ready and all(state is EngineState.SERVING for state in ready) else None


def engine_failure(pods: Sequence[View], engines: Engines) -> Failure | None:
    """Why an engine will not do what it was told, if one of its pods has said so."""
    for pod in pods:
        state, message = engines.state(pod)
        if state is EngineState.FAILED:
            return Failure(FailureClass.APPLICATION, EXCHANGE_FAILED, message)
    return None


def _has_agent(pod: View) -> bool:
    """Whether its agent runs, or has run."""
    status = next((each for each in statuses(pod) if each["name"] == AGENT), None)
    return status is not None and ("waiting" not in (status.get("state") or {}) or bool(status.get("restartCount")))


def _restarts(pod: View) -> tuple[int, ...]:
    return tuple(int(status.get("restartCount") or 0) for status in statuses(pod))
