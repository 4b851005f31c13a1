"""Gates: which numbers trip them, and what a tripped one does to the walk."""

from __future__ import annotations

from typing import Any

import pytest
from plan.faults import Fate, Scripted
from plan.runs import a_run, a_walk
from plan.scenes import Scene, created, deleted, failure, result, scene
from plan.walk import Walk
from selfreward.api import ACCEPTED, ConditionType, Phase, Reason, SelfRewardRunSpec, StepState
from selfreward.plan import ChildPhase, Decision, Failure
from selfreward.plan.types import EventReason
from selfreward_steps.contract import FailureClass, JudgeMode

GOOD: dict[str, dict[str, float]] = {
    "evaluate-m1": {
        "judge_pairwise_accuracy": 0.7,
        "judge_pairwise_accuracy_longest_wins": 0.6,
        "answers_mean_chars": 100,
    },
    "pairs-1": {
        "pairs": 90,
        "prompts": 100,
        "ties": 5,
        "parse_rate": 0.95,
        "common_score": 4,
        "common_score_share": 0.4,
        "candidate_chars": 200,
    },
    "dpo-1": {"reward_margin": 0.4},
    "evaluate-m2": {
        "judge_pairwise_accuracy": 0.72,
        "judge_pairwise_accuracy_longest_wins": 0.6,
        "answers_mean_chars": 150,
        "safety_unsafe_share": 0.0,
        "safety_prompts": 50,
    },
    "pairs-2": {
        "pairs": 80,
        "prompts": 100,
        "ties": 9,
        "parse_rate": 0.9,
        "common_score": 4,
        "common_score_share": 0.5,
        "candidate_chars": 300,
    },
}


def measured(before: str, numbers: dict[str, dict[str, float]], **spec: Any) -> Scene:
    """A run before that step, with good numbers but for those given."""
    moment = scene(before, iterations=2, **spec)
    for key, good in GOOD.items():
        if moment.row(key).state is StepState.SUCCEEDED:
            moment.put(key, metrics=good | numbers.get(key, {}))
    return moment


def tripped(decision: Decision) -> str:
    """The message of `GateTripped`; empty when no gate has."""
    found = [each.message for each in decision.status.conditions if each.type is ConditionType.GATE_TRIPPED]
    return found[0] if found else ""


def reason(decision: Decision, kind: ConditionType) -> str:
    found = next(each for each in decision.status.conditions if each.type is kind)
    return f"{found.status}/{found.reason}"


TRIPS: dict[str, tuple[str, dict[str, float], list[str]]] = {
    "parse rate": ("pairs-1", {"parse_rate": 0.41}, ["pairs-1: only 41% of the judgements", "parseRate.minimum 50%"]),
    "score mass": (
        "pairs-1",
        {"mean_score_mass": 0.62},
        ["pairs-1: the judge gives scores 62% of the probability", "gates.scoreMass.minimum 80%"],
    ),
    "pairs": ("pairs-1", {"pairs": 12, "ties": 80}, ["only 12 of 100 prompts", "12%", "80 are tied"]),
    "pairs of answers that end": (
        "pairs-1",
        {"pairs": 12, "ties": 8, "prompts_truncated": 80},
        ["80 have too few answers that end", "raise responses.sampling.maxTokens"],
    ),
    "one score for all": (
        "pairs-1",
        {"common_score": 5, "common_score_share": 0.97},
        ["97% of the scores are 5 (gates.scoreShare.maximum 80%)"],
    ),
    "candidates grow": ("pairs-2", {"candidate_chars": 500}, ["candidates have 500 characters", "2.5 times the 200"]),
    "answers grow": ("evaluate-m2", {"answers_mean_chars": 230}, ["answers to held-out", "2.3 times the 100 of M1"]),
    "a judge of length": (
        "evaluate-m2",
        {"judge_pairwise_accuracy": 0.55},
        ["as a judge M2 agrees with people on 55% of pairs", '"the longer answer wins" on 60%'],
    ),
    "a judge unlike the one before": (
        "evaluate-m2",
        {"judge_drift": 1.02, "judge_drift_prompts": 120},
        ["as a judge M2 orders answers unlike", "a drift of 1.02", "judgeDrift.maximum 0.8; 120 ranked prompts"],
    ),
    "unsafe answers": ("evaluate-m2", {"safety_unsafe_share": 0.3}, ["30% of 50 answers", "safety.maximum 5%"]),
    "unread verdicts": ("evaluate-m2", {"safety_unparsed": 26}, ["26 of 50 verdicts", "evaluation.judge"]),
    "no reward margin": (
        "dpo-1",
        {"reward_margin": 0.0004},
        ["reward margin of 0.0004", "rewardMargin.minimum 0.01", "hardly moved apart"],
    ),
    "a reward margin the wrong way": (
        "dpo-1",
        {"reward_margin": -3.98},
        ["reward margin of -4", "prefers the rejected answers", "lower the learning rate"],
    ),
}


@pytest.mark.parametrize(("key", "numbers", "words"), TRIPS.values(), ids=TRIPS.keys())
def test_what_trips_a_gate_says_so_with_its_numbers(key: str, numbers: dict[str, float], words: list[str]) -> None:
    decision = measured("dpo-2", {key: numbers}).decide()
    assert [word for word in words if word not in tripped(decision)] == []
    assert reason(decision, ConditionType.GATE_TRIPPED) == f"True/{Reason.GATE_TRIPPED}"
    assert created(decision) == ["dpo-2"], "a warning holds nothing"


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param({"parse_rate": 0.41}, id="parse rate"),
        pytest.param({"pairs": 12, "ties": 80}, id="pairs"),
        pytest.param({"common_score": 5, "common_score_share": 0.97}, id="one score for all"),
    ],
)
@pytest.mark.parametrize("mode", list(JudgeMode))
def test_nobody_is_told_to_set_the_mode_that_is_set(mode: JudgeMode, numbers: dict[str, float]) -> None:
    decision = measured("dpo-2", {"pairs-1": numbers}, judge={"mode": mode}).decide()
    assert "pairs-1: " in tripped(decision)
    assert f"judge.mode: {mode}" not in tripped(decision)


COLLAPSED = {"pairs": 0, "prompts": 100, "ties": 100, "common_score": 5, "common_score_share": 1.0}


def test_a_judge_that_leaves_no_pair_at_all_trips_its_gates_though_its_step_fails() -> None:
    moment = measured("pairs-1", {}).active("pairs-1", metrics={"pairs": 0})
    why = {"succeeded": False, "reason": "NoPreferencePairs", "failure_class": FailureClass.PERMANENT}
    told = result("pairs-1", **why, metrics=COLLAPSED)
    moment.child("pairs-1", ChildPhase.FAILED, results=(told,), failure=Failure.reported_by(told))
    decision = moment.decide()
    assert decision.status.phase == Phase.FAILED
    assert reason(decision, ConditionType.GATE_TRIPPED) == f"True/{Reason.GATE_TRIPPED}"
    assert "only 0 of 100 prompts give a preference pair" in tripped(decision)
    assert "100% of the scores are 5" in tripped(decision)
    assert [event.reason for event in decision.events].count(EventReason.GATE_TRIPPED) == 2
    assert tripped(moment.accept(decision).decide()) == tripped(decision)


def test_what_a_failed_step_said_on_its_way_trips_nothing() -> None:
    moment = measured("dpo-1", {}).active("dpo-1", metrics={"reward_margin": 0.0})
    moment.child("dpo-1", ChildPhase.FAILED, failure=failure(FailureClass.PERMANENT))
    decision = moment.decide()
    assert (decision.status.phase, tripped(decision)) == (Phase.FAILED, "")


def test_good_numbers_trip_nothing() -> None:
    assert tripped(measured("dpo-2", {}).decide()) == ""


def test_what_was_not_measured_trips_nothing() -> None:
    decision = scene("nothing", iterations=2).decide()
    assert (tripped(decision), decision.status.phase) == ("", Phase.SUCCEEDED)


def test_a_limit_exactly_kept_is_kept() -> None:
    limits = {
        "pairs-1": {"parse_rate": 0.5, "pairs": 20, "common_score_share": 0.8},
        "pairs-2": {"candidate_chars": 400},
        "evaluate-m2": {"judge_drift": 0.8},
    }
    assert tripped(measured("dpo-2", limits).decide()) == ""


def walked(action: str, numbers: dict[str, dict[str, float]] | None = None, **spec: Any) -> Walk:
    """A walk in which everybody is tied, with every gate set to that action."""
    names = SelfRewardRunSpec.model_fields["gates"].annotation
    assert names is not None
    gates = {field.alias: {"action": action} for field in names.model_fields.values()}
    told = GOOD | (numbers or {"pairs-1": GOOD["pairs-1"] | {"pairs": 3}})
    return a_walk(Scripted(metrics=told), iterations=2, gates=gates, **spec)


def test_a_warning_is_told_once_and_the_run_goes_on() -> None:
    walk = walked("warn")
    walk.finish()
    assert walk.status.phase == "Succeeded"
    told = [event for event in walk.events if event.reason is EventReason.GATE_TRIPPED]
    assert [(event.message.split(":")[0], event.warning) for event in told] == [("pairs-1", True)]
    assert walk.condition(ConditionType.SUCCEEDED) == f"True/{Reason.COMPLETED}"
    assert walk.condition(ConditionType.GATE_TRIPPED) == f"True/{Reason.GATE_TRIPPED}"


def accept(walk: Walk, text: str) -> None:
    metadata = walk.run.metadata.model_copy(update={"annotations": {ACCEPTED: text}})
    walk.run = walk.run.model_copy(update={"metadata": metadata})
    walk.is_stale = True


def test_a_pause_holds_the_run_until_it_is_accepted() -> None:
    walk = walked("pause")
    walk.until("suspended")
    walk.until("quiet")
    assert walk.row("dpo-1").attempt == 0, "nothing was trained on it"
    assert walk.status.phase == "Suspended"
    assert walk.condition(ConditionType.SUSPENDED) == f"True/{Reason.PAUSED_BY_GATE}"
    message = next(each.message for each in walk.status.conditions if each.type is ConditionType.SUSPENDED)
    assert "only 3 of 100 prompts" in message
    assert message.endswith(f'set the annotation {ACCEPTED} to "1"')
    for text in ("", "0", "yes"):
        accept(walk, text)
        walk.until("quiet")
        assert walk.status.suspended_at is not None, text
    accept(walk, "1")
    walk.finish()
    assert walk.status.phase == "Succeeded"
    assert walk.row("dpo-2").state is StepState.SUCCEEDED
    assert walk.condition(ConditionType.GATE_TRIPPED) == f"True/{Reason.GATE_TRIPPED}", "it stays told"


def test_a_pause_does_not_wait_for_ever_for_numbers() -> None:
    gates = {"pairs": {"action": "pause"}}
    walk = a_walk(Scripted({"pairs-1": [Fate.LINGER]}), iterations=2, gates=gates)
    walk.finish()
    assert walk.status.phase == "Succeeded"


def test_a_changed_limit_lets_a_paused_run_go_on() -> None:
    walk = walked("pause")
    walk.until("suspended")
    gates = walk.run.spec.gates
    walk.edit(gates=gates.model_copy(update={"pairs": gates.pairs.model_copy(update={"minimum": 0.01})}))
    walk.finish()
    assert walk.status.phase == "Succeeded"
    assert walk.condition(ConditionType.GATE_TRIPPED) == f"False/{Reason.GATES_KEPT}"


@pytest.mark.parametrize(
    ("numbers", "good", "never"),
    [
        pytest.param({"pairs-1": GOOD["pairs-1"] | {"parse_rate": 0.1}}, "m1", "dpo-1", id="before the training"),
        pytest.param({"dpo-1": {"reward_margin": -0.2}}, "m1", "pairs-2", id="the training came to nothing"),
        pytest.param(
            {"evaluate-m2": GOOD["evaluate-m2"] | {"judge_pairwise_accuracy": 0.1}}, "m1", "dpo-2", id="a worse model"
        ),
        pytest.param({"pairs-2": GOOD["pairs-2"] | {"pairs": 1}}, "m2", "dpo-2", id="in the second iteration"),
    ],
)
def test_a_stop_ends_the_run_at_the_last_good_model(
    numbers: dict[str, dict[str, float]], good: str, never: str
) -> None:
    walk = walked("stop", numbers)
    walk.finish()
    assert (walk.status.phase, walk.status.model) == ("Succeeded", good)
    assert walk.condition(ConditionType.SUCCEEDED) == f"True/{Reason.STOPPED_BY_GATE}"
    assert walk.condition(ConditionType.FAILED) == f"False/{Reason.STOPPED_BY_GATE}"
    assert walk.row(never).state is not StepState.SUCCEEDED
    assert [child for child in walk.world.children.values() if not child.seen.phase.is_terminal] == []


def test_a_stopped_run_goes_on_when_its_gates_are_changed() -> None:
    walk = walked("stop")
    walk.finish()
    walk.edit(gates=a_run().spec.gates)
    walk.finish()
    assert walk.status.model == "m3"
    assert walk.condition(ConditionType.SUCCEEDED) == f"True/{Reason.COMPLETED}"
    assert EventReason.RUN_REOPENED in [event.reason for event in walk.events]


def test_a_pause_lets_what_runs_end_and_a_stop_does_not() -> None:
    bad = {"evaluate-m2": {"judge_pairwise_accuracy": 0.1}}
    gates = {"judgeAccuracy": {"action": "pause"}}
    moment = measured("respond-2", bad, gates=gates).served("m2")
    moment.active("respond-2").child("respond-2", ChildPhase.RUNNING)
    decision = moment.decide()
    assert (deleted(decision), decision.status.suspended_at) == ([], None)
    assert reason(decision, ConditionType.PROGRESSING) == f"True/{Reason.RUNNING}"
    stopped = measured("respond-2", bad, gates={"judgeAccuracy": {"action": "stop"}}).served("m2")
    stopped.active("respond-2").child("respond-2", ChildPhase.RUNNING)
    assert set(deleted(stopped.decide())) == {"run-respond-2-a1", "run-serve-m2-a1"}


def test_the_margin_is_that_of_the_model_which_is_chosen() -> None:
    selection = {"dpo": {"selection": {"checkpoints": 2}}}
    moment = measured("evaluate-m2", {"dpo-1": {"reward_margin": 0.0}}, training=selection)
    moment.put("select-1", metrics={"reward_margin": 0.3})
    assert tripped(moment.decide()) == ""
    moment.put("select-1", metrics={"reward_margin": 0.002})
    assert "select-1: DPO ended with a reward margin of 0.002" in tripped(moment.decide())
