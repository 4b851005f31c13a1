"""Intents and the commands that carry them out."""

from __future__ import annotations

from plan.runs import DATA
from plan.scenes import ago, created, digest, row, scene
from selfreward.api import StepState
from selfreward.plan import ChildPhase, CreateStep
from selfreward_steps.contract import EvaluationSettings, InputRef


def test_the_first_step_starts_the_run() -> None:
    decision = scene().decide()
    assert decision.create == (CreateStep("run-import-a1", "import", 1, {}),)
    after = row(decision, "import")
    assert (after.state, after.attempt, after.child, after.child_uid) == (StepState.STARTING, 1, "run-import-a1", None)
    assert (after.started_at, decision.status.started_at) == (ago(0), ago(0))


def test_inputs_are_pinned() -> None:
    (command,) = scene("sft").decide().create
    assert isinstance(command, CreateStep)
    assert command.inputs == {
        role: InputRef(artifact=artifact, digest=digest(artifact))
        for role, artifact in (("model", "m0"), ("seed", "seed"), ("eft", "eft"))
    }


def test_a_shard_reads_its_own_shard_which_cannot_be_pinned() -> None:
    moment = scene("judge-1").served("m1")
    (command,) = moment.decide().create
    assert isinstance(command, CreateStep)
    assert command.inputs["responses"] == InputRef(artifact="iteration-1/responses", shards=2)
    assert command.inputs["model"] == InputRef(artifact="m1", digest=digest("m1"))


def test_who_reads_all_shards_has_them_pinned() -> None:
    (command,) = scene("pairs-1").decide().create
    assert isinstance(command, CreateStep)
    assert command.inputs["judgements"] == InputRef(
        artifact="iteration-1/judgements", digest=digest("iteration-1/judgements"), shards=2
    )


def test_an_attempt_waits_for_its_time() -> None:
    moment = scene("pairs-1").put("pairs-1", retry_at=ago(-3), attempt=1, failures=1, reason="ExitCode", message="no")
    decision = moment.decide()
    assert (created(decision), decision.requeue_after) == ([], 3)
    after = row(moment.later(3).decide(), "pairs-1")
    assert (after.state, after.attempt, after.child, after.failures) == (StepState.STARTING, 2, "run-pairs-1-a2", 1)
    assert (after.retry_at, after.reason, after.message) == (None, "", "")


def test_an_attempt_waits_until_no_child_of_the_step_is_left() -> None:
    moment = scene("pairs-1").child("pairs-1", ChildPhase.SUCCEEDED, name="run-pairs-1-a7")
    assert created(moment.decide()) == []


def test_nothing_starts_before_its_inputs_are_committed() -> None:
    moment = scene("eft").served("sft-baseline").active("eft", running_at=ago(1)).child("eft", ChildPhase.RUNNING)
    assert created(moment.decide()) == []


def test_a_step_that_is_asked_for_more_goes_again() -> None:
    """The user names a judge for the evaluation when the import of its data is done."""
    judge = {"model": "model", "source": {"uri": "hf://another/judge"}}
    asked = EvaluationSettings.model_validate({"source": DATA, "judge": judge})
    moment = scene("prompts-1", evaluation={"source": DATA}).spec(evaluation=asked)
    decision = moment.decide()
    assert "import-evaluation" in created(decision)
    assert row(decision, "import-evaluation").attempt == 2
