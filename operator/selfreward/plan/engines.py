"""Engines that are kept from one model's turn to the next, which costs less than to start one for each.

To start an engine takes a minute and more, to give one that runs other weights about a second (measured on an H200 with
vLLM 0.26). A kept engine is one server entry whose model changes. What is decided here is told to the engine again and
again (:func:`assignments`) until it is seen to have done it, so a walker may be killed at any moment; an engine that
fails on the way is replaced like any server. This module must not decide whose turn it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from selfreward.api import Keeping, ServingState, ServingStatus, StepState
from selfreward.plan.draft import Draft
from selfreward.plan.graph import committed_digests
from selfreward.plan.types import AssignModel, ChildPhase, EventReason


def is_kept(draft: Draft, serving: ServingStatus) -> bool:
    """Whether the engine of a server without a turn stays: it is sound, and some step will still need a server."""
    child = draft.serving_child(serving)
    return (
        serving.keeping is not Keeping.NEVER
        and serving.state in (ServingState.READY, ServingState.ASLEEP)
        and child is not None
        # Its spec has changed since: the next turn starts one as it is asked for now.
        and not child.outdated
        and _is_needed_again(draft)
    )


def use_engine(draft: Draft, serving: ServingStatus, model: str | None) -> None:
    """Give a kept engine the model whose turn it is, perhaps the one that it served; without one it rests."""
    if model is None:
        if serving.keeping is Keeping.ASLEEP and serving.state is not ServingState.ASLEEP:
            draft.put_serving(serving, state=ServingState.ASLEEP, since=draft.now)
    elif serving.keeping is Keeping.AWAKE or not draft.training_lives():
        _hand_over(draft, serving, model)


def _hand_over(draft: Draft, serving: ServingStatus, model: str) -> None:
    del draft.servings[serving.model]
    changed = serving.model_copy(update={"model": model})
    draft.put_serving(changed, state=ServingState.STARTING, since=draft.now, failures=0, reason="", message="")
    how = "woken" if model == serving.model else f"by the engine that served {serving.model}"
    draft.tell(EventReason.SERVING_STARTED, f"serving of {model}, {how}")


def leaves_gpus(draft: Draft) -> bool:
    """Whether no server holds a GPU that a training needs: all are gone, asleep, or on GPUs of their own."""
    resting = []
    for serving in draft.servings.values():
        child = draft.serving_child(serving)
        sleeps = child is not None and child.phase is ChildPhase.ASLEEP and serving.state is ServingState.ASLEEP
        if not sleeps and not (serving.keeping is Keeping.AWAKE and serving.state is ServingState.READY):
            return False
        resting.append(child)
    return all(child in resting for child in draft.serving_children)


def assignments(draft: Draft) -> Iterator[AssignModel]:
    """A command for each kept engine that is not yet what it should be."""
    digests = committed_digests(draft.rows.values())
    for serving in draft.servings.values():
        child = draft.serving_child(serving)
        if child is None or child.deleting or child.phase.is_terminal or serving.child_uid is None:
            continue
        if serving.state is ServingState.ASLEEP and child.phase is not ChildPhase.ASLEEP:
            yield AssignModel(child.name, child.uid, None)
        elif serving.state is ServingState.STARTING and (
            child.model != serving.model or child.phase is ChildPhase.ASLEEP
        ):
            digest = digests.get(serving.model)
            yield AssignModel(child.name, child.uid, serving.model, serving.attempt, digest)


def _is_needed_again(draft: Draft) -> bool:
    """Whether a step that may start before anybody is asked will need a server."""
    return any(
        node.serving is not None
        and draft.rows[node.key].state is not StepState.SUCCEEDED
        and not draft.is_passed_over(node)
        and (draft.wait is None or node.iteration != draft.wait.iteration)
        for node in draft.graph.nodes
    )
