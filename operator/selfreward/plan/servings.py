"""The life of a model's server: started when its turn comes, watched, replaced when it fails, stopped after.

An entry in status is written before its child is created and removed when its child is gone, so at any moment
status tells which servers may hold GPUs. This module must not decide whose turn it is.
"""

from __future__ import annotations

from selfreward_steps.contract import FailureClass

from selfreward.api import Keeping, Reason, ServingKeep, ServingState, ServingStatus
from selfreward.plan.draft import Draft
from selfreward.plan.engines import is_kept, use_engine
from selfreward.plan.failures import EXCHANGE_FAILED, OUTDATED, backoff_seconds, worst_failure
from selfreward.plan.moments import later
from selfreward.plan.names import serving_name
from selfreward.plan.turns import Turn
from selfreward.plan.types import ChildPhase, EventReason, Failure, ObservedChild


def follow_servings(draft: Draft) -> None:
    """Bring the entries up to what is observed; a server that failed is counted and awaits its next attempt."""
    for serving in list(draft.servings.values()):
        if serving.state is ServingState.STOPPING:
            continue
        child = draft.serving_child(serving)
        if child is None and serving.child_uid is None:
            failure = _late(draft, serving, None)
        elif child is None or child.deleting:
            _again(draft, serving, serving.failures, Reason.CHILD_LOST, "the server vanished")
            continue
        else:
            failure = _observe(draft, serving, child)
        if failure is not None:
            _fail(draft, draft.servings[serving.model], failure)


def settle_servings(draft: Draft, turn: Turn, *, starting: bool) -> None:
    """Let exactly the server whose turn it is answer: give it a kept engine or start it when the GPUs are free, and
    stop the others unless their engine is kept."""
    for serving in list(draft.servings.values()):
        if serving.model == turn.model and serving.state is not ServingState.ASLEEP:
            continue
        if starting and is_kept(draft, serving):
            use_engine(draft, serving, turn.model)
        else:
            _stop(draft, serving)
    wanted = draft.servings.get(turn.model) if turn.model is not None else None
    if turn.model is None or (wanted is not None and wanted.state is not ServingState.STOPPING):
        return
    # Any server that is left is another's, its own last attempt, or one that nobody remembers.
    if draft.serving_children or draft.training_lives():
        return
    if wanted is None:
        _start(draft, ServingStatus(model=turn.model, child="", since=draft.now, attempt=0))
    elif wanted.retry_at is None or draft.due(wanted.retry_at, 0):
        _start(draft, wanted)


def _observe(draft: Draft, serving: ServingStatus, child: ObservedChild) -> Failure | None:
    if serving.child_uid is None:
        serving = draft.put_serving(serving, child_uid=child.uid)
    match child.phase:
        case ChildPhase.ASLEEP if serving.state is ServingState.ASLEEP:
            return None
        case ChildPhase.READY if serving.state is not ServingState.ASLEEP and child.model == serving.model:
            if serving.state is not ServingState.READY:
                draft.put_serving(serving, state=ServingState.READY, since=draft.now, reason="", message="")
                draft.tell(EventReason.SERVING_READY, f"{serving.model} is served")
            return None
        case ChildPhase.FAILED | ChildPhase.SUCCEEDED:
            ended = Failure(FailureClass.APPLICATION, Reason.SERVING_FAILED, child.waiting or "the server ended")
            return worst_failure(child.failures) or ended
        case ChildPhase.PENDING | ChildPhase.RUNNING | ChildPhase.READY | ChildPhase.ASLEEP:
            if serving.state is ServingState.READY:
                serving = draft.put_serving(serving, state=ServingState.STARTING, since=draft.now)
            if serving.message != child.waiting:
                reason = Reason.WAITING_FOR_SERVING if child.waiting else ""
                serving = draft.put_serving(serving, reason=reason, message=child.waiting)
            if child.outdated and child.phase is ChildPhase.PENDING:
                _again(draft, serving, serving.failures, OUTDATED.reason, OUTDATED.message)
                return None
            return _late(draft, serving, child)


def _late(draft: Draft, serving: ServingStatus, child: ObservedChild | None) -> Failure | None:
    seconds = draft.run.spec.deadlines.serving
    admitted_at = None if child is None else child.admitted_at
    if child is not None and child.queued:
        return None
    if not draft.due(max(serving.since, admitted_at or serving.since), seconds):
        return None
    why = child.waiting if child is not None and child.waiting else "no answer"
    message = f"not ready after {seconds} s (deadlines.serving): {why}"
    return Failure(FailureClass.APPLICATION, Reason.SERVING_FAILED, message)


def _fail(draft: Draft, serving: ServingStatus, failure: Failure) -> None:
    """Count a failed start or a death; a server that had served for long starts its count anew."""
    spec = draft.run.spec
    age = (draft.now - serving.since).total_seconds()
    if failure.reason == EXCHANGE_FAILED:
        # A server of its own comes at once, and counts its own failures.
        _again(draft, serving, serving.failures, failure.reason, failure.message, wait=0)
        return
    lasted = serving.state is ServingState.READY and age >= spec.deadlines.serving
    failures = 1 if lasted else serving.failures + 1
    _again(draft, serving, failures, failure.reason, failure.message)
    if failure.failure_class is FailureClass.PERMANENT or failures > spec.retry.limit:
        draft.fail(Reason.SERVING_FAILED, f"serving of {serving.model}: {failure.reason}: {failure.message}")


def _again(
    draft: Draft, serving: ServingStatus, failures: int, reason: str, message: str, wait: float | None = None
) -> None:
    wait = backoff_seconds(draft.run.spec.retry, max(1, failures)) if wait is None else wait
    draft.put_serving(
        serving,
        state=ServingState.STOPPING,
        since=draft.now,
        failures=failures,
        retry_at=later(draft.now, wait),
        reason=str(reason),
        message=message,
    )
    draft.tell(EventReason.SERVING_RETRIED, f"serving of {serving.model}: {reason}: {message}", warning=True)


def _stop(draft: Draft, serving: ServingStatus) -> None:
    """Mark a server that nobody needs, and forget it once its child is gone."""
    if serving.state is not ServingState.STOPPING:
        serving = draft.put_serving(serving, state=ServingState.STOPPING, since=draft.now, retry_at=None)
    if not any(child.name == serving.child for child in draft.serving_children):
        del draft.servings[serving.model]


def _start(draft: Draft, serving: ServingStatus) -> None:
    attempt = serving.attempt + 1
    may_keep = draft.run.spec.serving.keep is not ServingKeep.NEVER
    draft.put_serving(
        serving,
        child=serving_name(draft.run.metadata.name, serving.model, attempt),
        child_uid=None,
        keeping=draft.observed.keeping if may_keep else Keeping.NEVER,
        state=ServingState.STARTING,
        since=draft.now,
        attempt=attempt,
        retry_at=None,
    )
    draft.tell(EventReason.SERVING_STARTED, f"serving of {serving.model}, attempt {attempt}")
