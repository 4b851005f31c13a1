"""The failure policy: which of several failures counts, and a table from its class to an action, as JobSet's.

The classes say who must act: the attempt (counted, tried again), nobody (infrastructure; not counted, tried
again) or the user (never tried again). This module must not find failures, only answer them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from selfreward_steps.contract import FailureClass

from selfreward.api import Reason, Retry, StepState, StepStatus
from selfreward.plan.draft import Draft
from selfreward.plan.moments import later
from selfreward.plan.types import EventReason, Failure, ObservedChild

_SEVERITY: Final = (FailureClass.PERMANENT, FailureClass.APPLICATION, FailureClass.INFRASTRUCTURE)
OUTDATED: Final = Failure(
    FailureClass.INFRASTRUCTURE, Reason.SPEC_CHANGED, "had not started when spec.workloads or spec.serving changed"
)
"""Of a child that waited for what has been mended since: nobody's fault, and replaced."""
EXCHANGE_FAILED: Final = "ExchangeFailed"
"""Reason of a failure that a kept engine, which was to serve another model, does not: that model needs its own."""
_IMPORT_ERRORS: Final = ("ImportError: ", "ModuleNotFoundError: ")
_MOST_DOUBLINGS: Final = 30
"""Any limit of a day or less is reached long before; keeps the power small when `retry.limit` is huge."""


def of_last_words(failure: Failure, words: str) -> Failure:
    """`failure`, of a program that left no result; Permanent when its last words are that it could not import what it
    needs, which no attempt changes."""
    if words.startswith(_IMPORT_ERRORS):
        return Failure(FailureClass.PERMANENT, "PackageMissing", failure.message)
    return failure


def fail_attempt(draft: Draft, row: StepStatus, failure: Failure) -> None:
    """End the step's current attempt; there may be another."""
    _ACTIONS[failure.failure_class](draft, row, failure)


def child_failure(child: ObservedChild) -> Failure:
    """The failure that counts, of all that a failed child's pods had."""
    unexplained = Failure(FailureClass.APPLICATION, "Failed", "failed without saying why")
    return worst_failure(child.failures) or unexplained


def worst_failure(failures: Iterable[Failure]) -> Failure | None:
    """Of several pods' failures the one that counts; None when there is none.

    It is the one that somebody must act on most: of several ranks of a training one fails and the others follow. Of
    two alike the one that a step itself reported says more than an exit code does.
    """
    return min(failures, key=lambda each: (_SEVERITY.index(each.failure_class), not each.reported), default=None)


def backoff_seconds(retry: Retry, failures: int) -> float:
    """Wait after the given number of failures, from 1: doubled each time, up to the longest wait."""
    return float(min(retry.max_backoff_seconds, retry.backoff_seconds * 2 ** min(failures - 1, _MOST_DOUBLINGS)))


def _permanent(draft: Draft, row: StepStatus, failure: Failure) -> None:
    _give_up(draft, row, failure, Reason.CONFIGURATION_ERROR)


def _application(draft: Draft, row: StepStatus, failure: Failure) -> None:
    retry, failures = draft.run.spec.retry, row.failures + 1
    # A failure of its own shows that the infrastructure let it come so far.
    row = draft.put(row, failures=failures, infrastructure_since=None)
    if failures > retry.limit:
        _give_up(draft, row, failure, _run_reason(failure))
    else:
        _try_again(draft, row, failure, backoff_seconds(retry, failures))


def _infrastructure(draft: Draft, row: StepStatus, failure: Failure) -> None:
    """Not counted; the wait grows with the age of the streak, which doubles it as counting would."""
    retry = draft.run.spec.retry
    since = row.infrastructure_since or draft.now
    row = draft.put(row, infrastructure_failures=row.infrastructure_failures + 1, infrastructure_since=since)
    age = (draft.now - since).total_seconds()
    if age >= retry.infrastructure_seconds:
        message = f"nothing but infrastructure faults for {age:.0f} s; the last: {failure.reason}: {failure.message}"
        lasting = Failure(failure.failure_class, Reason.INFRASTRUCTURE_TIMEOUT, message)
        _give_up(draft, row, lasting, Reason.INFRASTRUCTURE_TIMEOUT)
    else:
        _try_again(draft, row, failure, min(retry.max_backoff_seconds, max(retry.backoff_seconds, age)))


_ACTIONS: Final[Mapping[FailureClass, Callable[[Draft, StepStatus, Failure], None]]] = {
    FailureClass.PERMANENT: _permanent,
    FailureClass.APPLICATION: _application,
    FailureClass.INFRASTRUCTURE: _infrastructure,
}


def _try_again(draft: Draft, row: StepStatus, failure: Failure, wait: float) -> None:
    draft.put(
        row,
        state=StepState.WAITING,
        child=None,
        child_uid=None,
        metrics={},
        progress=None,
        running_at=None,
        progressed_at=None,
        finished_at=None,
        retry_at=later(draft.now, wait),
        reason=str(failure.reason),
        message=failure.message,
    )
    draft.tell(EventReason.STEP_RETRIED, f"{_attempt(row, failure)}; again in {wait:.0f} s", warning=True)


def _give_up(draft: Draft, row: StepStatus, failure: Failure, reason: Reason) -> None:
    draft.put(
        row,
        state=StepState.FAILED,
        finished_at=draft.now,
        retry_at=None,
        reason=str(failure.reason),
        message=failure.message,
    )
    draft.tell(EventReason.STEP_FAILED, _attempt(row, failure), warning=True)
    draft.fail(reason, f"{row.key}: {failure.reason}: {failure.message}")


def _attempt(row: StepStatus, failure: Failure) -> str:
    return f"{row.key}, attempt {row.attempt}: {failure.reason}: {failure.message}"


def _run_reason(failure: Failure) -> Reason:
    """The condition's reason for a step that used up its retries: the operator's own finding, or just that."""
    try:
        return Reason(failure.reason)
    except ValueError:
        return Reason.STEP_FAILED
