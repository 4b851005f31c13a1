"""One decision of the walk: the status to write first, then what to delete and what to create.

Level-triggered: it looks at the world as it is, not at what has changed, and may be asked at any moment, by any
walker, as often as it likes. Each rule is in a module of its own; here is only their order.
"""

from __future__ import annotations

from datetime import datetime

from selfreward.api import SelfRewardRun
from selfreward.plan.attempts import follow_attempts, take_commits
from selfreward.plan.deadlines import check_run
from selfreward.plan.draft import Draft, open_draft
from selfreward.plan.engines import assignments
from selfreward.plan.gates import weigh_gates
from selfreward.plan.graph import build_graph
from selfreward.plan.leftovers import deletions
from selfreward.plan.obstacles import note_obstacle
from selfreward.plan.quota import lacks_quota, quota_action
from selfreward.plan.reopening import reopen, repaired
from selfreward.plan.schedule import wait_for_next
from selfreward.plan.servings import follow_servings, settle_servings
from selfreward.plan.starting import creations, start_ready
from selfreward.plan.summary import new_status
from selfreward.plan.suspension import Hold, halt_steps, hold_of, note_suspension
from selfreward.plan.turns import choose_turn
from selfreward.plan.types import Decision, EventReason, Observed


def decide(run: SelfRewardRun, observed: Observed, now: datetime) -> Decision:
    """What to do about `run` (whose `status` is the one last written), given the world as it is at `now`.

    `observed` must hold every child of the run, finished ones too, and what is committed of the artifacts that
    :func:`selfreward.plan.artifacts_to_observe` names. With nothing to note, `Decision.status` is `run.status`.
    """
    draft = open_draft(run, repaired(run, now), build_graph(run.spec), observed, now)
    weigh_gates(draft)
    reopen(draft)
    has_found = take_commits(draft)
    weigh_gates(draft)
    note_suspension(draft)
    if hold_of(draft) is not Hold.ALL and not lacks_quota(draft):
        # Servers first: whether a client's silence is its own depends on them.
        follow_servings(draft)
        follow_attempts(draft)
        check_run(draft)
        weigh_gates(draft)
    hold = hold_of(draft)
    if hold is Hold.ALL or lacks_quota(draft):
        halt_steps(draft)
    wait_for_next(draft, hold)
    # What follows on work that was found in the store may be there too: look before anything starts.
    starting = hold is Hold.NOTHING and not has_found and not lacks_quota(draft)
    turn = choose_turn(draft, starting=starting)
    settle_servings(draft, turn, starting=starting)
    if starting:
        start_ready(draft, turn)
        wait_for_next(draft, hold)
    note_suspension(draft)
    _note_finish(draft)
    delete, create, assign = tuple(deletions(draft)), tuple(creations(draft)), tuple(assignments(draft))
    note_obstacle(draft, acts=bool(delete or create or assign))
    alarm = draft.alarm
    return Decision(
        status=new_status(draft),
        create=create,
        assign=assign,
        delete=delete,
        quota=quota_action(draft),
        events=tuple(draft.events),
        requeue_after=0 if has_found else None if alarm is None else (alarm - now).total_seconds(),
    )


def _note_finish(draft: Draft) -> None:
    if draft.finished_at is not None:
        return
    if draft.failure is not None:
        draft.finished_at = draft.now
    elif draft.is_complete():
        draft.finished_at = draft.now
        stopped = draft.stopping
        told = "the last model is committed" if stopped is None else f"a gate has ended it with {stopped.last_good}"
        draft.tell(EventReason.RUN_SUCCEEDED, told)
