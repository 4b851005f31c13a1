"""The derived columns of status."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from plan.runs import DATA
from plan.scenes import Scene, ago, failure, progress, scene
from selfreward.api import IterationStatus, Phase, RunStatus, StepState, StepStatus
from selfreward.plan import ChildPhase
from selfreward_steps.contract import FailureClass, StepName


def failed() -> Scene:
    return scene("sft").active("sft").child("sft", ChildPhase.FAILED, failure=failure(FailureClass.PERMANENT))


@pytest.mark.parametrize(
    ("at", "phase", "iteration", "model"),
    [
        pytest.param(lambda: scene(), Phase.SEEDING, 0, "", id="at once"),
        pytest.param(
            lambda: scene().child("import", ChildPhase.RUNNING, name="run-import-a7"),
            Phase.PENDING,
            0,
            "",
            id="nothing has started",
        ),
        pytest.param(lambda: scene("sft"), Phase.SEEDING, 0, "m0", id="on the way to M1"),
        pytest.param(lambda: scene("evaluate-m1"), Phase.SEEDING, 0, "m1", id="M1 is loaded"),
        pytest.param(lambda: scene("prompts-1").served("m1"), Phase.ITERATING, 1, "m1", id="the first round"),
        pytest.param(lambda: scene("evaluate-m2", iterations=2), Phase.ITERATING, 1, "m2", id="M2 is loaded"),
        pytest.param(lambda: scene("dpo-2", iterations=2), Phase.ITERATING, 2, "m2", id="the second round"),
        pytest.param(lambda: scene("nothing", iterations=2), Phase.SUCCEEDED, 2, "m3", id="done"),
        pytest.param(failed, Phase.FAILED, 0, "m0", id="failed"),
        pytest.param(lambda: scene("sft").spec(suspend=True), Phase.SUSPENDED, 0, "m0", id="suspended"),
        pytest.param(lambda: scene("sft").status(iteration=3, model="m4"), Phase.SEEDING, 3, "m0", id="never back"),
    ],
)
def test_phase_iteration_and_model(at: Callable[[], Scene], phase: Phase, iteration: int, model: str) -> None:
    status = at().decide().status
    assert (status.phase, status.iteration, status.model) == (phase, iteration, model)


@pytest.mark.parametrize(
    ("total", "told"), [pytest.param(100, "7/100 candidates", id="of"), pytest.param(None, "7 candidates", id="open")]
)
def test_step_and_progress(total: int | None, told: str) -> None:
    moment = scene("prompts-1").served("m1").active("evaluate-m1", running_at=ago(9), outputs={}, finished_at=None)
    moment.active("prompts-1", running_at=ago(9)).child("evaluate-m1", ChildPhase.RUNNING)
    moment.child("prompts-1", ChildPhase.RUNNING, progress=progress(7, ago(1), total))
    status = moment.decide().status
    assert (status.step, status.progress) == ("evaluate-m1, prompts-1", told)


def test_what_a_step_does_before_it_counts_is_told_without_a_number() -> None:
    moment = scene("prompts-1").served("m1").active("prompts-1", running_at=ago(9))
    moment.child("prompts-1", ChildPhase.RUNNING, progress=progress(0, ago(1), None))
    assert moment.decide().status.progress == "candidates"


def test_pairs_and_accuracy_are_the_newest() -> None:
    moment = scene("dpo-2", iterations=2)
    moment.put("evaluate-m1", metrics={"judge_pairwise_accuracy": 0.651}).put("pairs-1", metrics={"pairs": 40.0})
    assert (moment.decide().status.pairs, moment.decide().status.judge_accuracy) == (40, "0.651")
    moment.put("evaluate-m2", metrics={"judge_pairwise_accuracy": 0.7}).put("pairs-2", metrics={"pairs": 41.0})
    assert (moment.decide().status.pairs, moment.decide().status.judge_accuracy) == (41, "0.700")


def test_before_there_are_any() -> None:
    status = scene("sft").decide().status
    assert (status.pairs, status.judge_accuracy, status.step) == (None, "", "sft")


@pytest.mark.parametrize(
    ("uri", "artifacts"),
    [
        pytest.param("s3://bucket/prefix/", "s3://bucket/prefix/namespace=team/run", id="s3"),
        pytest.param("file:///data", "file:///data/namespace=team/run", id="a volume"),
        pytest.param(None, "file:///work", id="as the walker says"),
    ],
)
def test_artifacts(uri: str | None, artifacts: str) -> None:
    moment = scene("sft", storage={"uri": uri}).status(artifacts="file:///work")
    assert moment.decide().status.artifacts == artifacts


def test_all_rows_are_there_from_the_start_in_the_graphs_order() -> None:
    status = scene().decide().status
    assert [(part.number, [row.key for row in part.steps]) for part in status.iterations] == [
        (0, ["import", "sft-baseline", "eft", "sft", "evaluate-sft-baseline", "evaluate-m1"]),
        (1, ["prompts-1", "respond-1", "judge-1", "pairs-1", "dpo-1", "evaluate-m2"]),
    ]


def test_steps_that_left_the_graph_are_kept_when_they_are_history() -> None:
    moment = scene("prompts-1").spec(evaluation=scene().run.spec.evaluation.model_copy(update={"enabled": False}))
    parts = moment.decide().status.iterations
    assert [row.key for row in parts[0].steps][-1] == "evaluate-m1"
    assert "evaluate-m2" not in [row.key for row in parts[1].steps], "it had not begun"


def test_iterations_of_history_keep_their_place() -> None:
    moment = scene("sft")
    old = StepStatus(key="dpo-9", step=StepName.DPO, state=StepState.SUCCEEDED, finished_at=ago(9))
    moment.status(iterations=[*moment.run.status.iterations, IterationStatus(number=9, steps=[old])])
    assert moment.decide().status.iterations[-1] == IterationStatus(number=9, steps=[old])


def test_a_brand_new_run_has_its_generation_observed() -> None:
    moment = scene(prompts={"source": DATA})
    moment.run = moment.run.model_copy(update={"status": RunStatus()})
    status = moment.decide().status
    assert (moment.run.status.observed_generation, status.observed_generation) == (-1, 1)
