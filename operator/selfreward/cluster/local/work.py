"""Children that come to an end: Jobs, Indexed Jobs and training jobs, one process a pod."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from selfreward_steps.contract import FailureClass

from selfreward.cluster.local.child import Child, Identity
from selfreward.cluster.local.pod import Pod
from selfreward.cluster.local.process import Program
from selfreward.cluster.progress import summed_progress
from selfreward.plan import ChildPhase, Failure, ObservedChild


class Work(Child):
    """A child of several pods, of which at most `parallelism` run at a time, in order."""

    def __init__(
        self,
        identity: Identity,
        pods: Sequence[Pod],
        *,
        parallelism: int,
        grace: float,
        fail_all_on: Collection[int] = (),
        stop_all_on_failure: bool = False,
    ) -> None:
        """`fail_all_on`: exit codes that end the whole job (podFailurePolicy's FailJob); `stop_all_on_failure`: for
        pods that wait for each other, as the ranks of a training job do."""
        super().__init__(identity)
        self._pods = pods
        self._parallelism = parallelism
        self._grace = grace
        self._fail_all_on = frozenset(fail_all_on)
        self._stop_all_on_failure = stop_all_on_failure

    def refresh(self, now: datetime) -> None:
        for pod in self._pods:
            pod.refresh(now)
        if self.deleting:
            return
        if self._must_fail():
            self._stop_pods(self._grace)
            return
        free = self._parallelism - sum(pod.is_running for pod in self._pods)
        waiting = [pod for pod in self._pods if pod.started_at is None]
        for pod in waiting[: max(0, free)]:
            pod.start(now)

    def observed(self) -> ObservedChild:
        identity = self.identity
        phase = self._phase()
        starts = [pod.started_at for pod in self._pods if pod.started_at is not None]
        return ObservedChild(
            name=identity.name,
            uid=identity.uid,
            kind=identity.kind,
            phase=phase,
            created_at=identity.created_at,
            key=identity.key,
            attempt=identity.attempt,
            running_at=min(starts, default=None),
            progress=summed_progress([(pod.output, pod.result is not None) for pod in self._pods]),
            results=tuple(pod.result for pod in self._pods if pod.result is not None),
            failures=self._failures() if phase is ChildPhase.FAILED else (),
            deleting=self.deleting,
        )

    def stop(self, grace: float | None = None) -> None:
        self.deleting = True
        self._stop_pods(self._grace if grace is None else grace)

    @property
    def program(self) -> Program:
        """What its first pod runs."""
        return self._pods[0].program

    @property
    def is_gone(self) -> bool:
        return not any(pod.is_running for pod in self._pods)

    @property
    def logs(self) -> list[Path]:
        return [pod.log for pod in self._pods]

    def _stop_pods(self, grace: float) -> None:
        for pod in self._pods:
            pod.stop(grace)

    def _must_fail(self) -> bool:
        failed = [pod for pod in self._pods if pod.failure is not None]
        return any(
            self._stop_all_on_failure or (pod.exit is not None and pod.exit.code in self._fail_all_on) for pod in failed
        )

    def _phase(self) -> ChildPhase:
        if not all(pod.has_ended for pod in self._pods):
            started = any(pod.started_at is not None for pod in self._pods)
            return ChildPhase.RUNNING if started else ChildPhase.PENDING
        failed = any(pod.failure is not None for pod in self._pods)
        return ChildPhase.FAILED if failed else ChildPhase.SUCCEEDED

    def _failures(self) -> tuple[Failure, ...]:
        """The failures of its pods; one that was only stopped with the rest has nothing to say."""
        found = [
            (pod.program.name, pod.failure)
            for pod in self._pods
            if pod.failure is not None and pod.exit is not None and not pod.exit.asked
        ]
        if not found:
            return (Failure(FailureClass.INFRASTRUCTURE, "Stopped", "was stopped"),)
        if len(self._pods) == 1:
            return (found[0][1],)
        return tuple(
            failure if failure.reported else replace(failure, message=f"{name}: {failure.message}")
            for name, failure in found
        )
