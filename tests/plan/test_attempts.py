"""Following attempts: from what is observed of a child to the step's row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plan.scenes import Scene, ago, created, deleted, digest, failure, progress, result, row, scene
from selfreward.api import StepState
from selfreward.plan import ChildPhase, artifacts_to_observe, build_graph
from selfreward.plan.attempts import PROGRESS_SECONDS, total_metrics
from selfreward.plan.types import EventReason
from selfreward_steps.contract import FailureClass


def training() -> Scene:
    """sft is under way."""
    return scene("sft").active("sft", running_at=ago(40))


@pytest.mark.parametrize(
    ("see", "state", "reason"),
    [
        pytest.param(lambda s: s.child("sft", ChildPhase.PENDING), StepState.RUNNING, "", id="pending"),
        pytest.param(
            lambda s: s.child("sft", ChildPhase.PENDING, waiting="no GPU"), StepState.RUNNING, "Pending", id="told why"
        ),
        pytest.param(
            lambda s: s.child("sft", ChildPhase.PENDING, outdated=True),
            StepState.WAITING,
            "SpecChanged",
            id="never started, and the spec was mended",
        ),
        pytest.param(
            lambda s: s.child("sft", ChildPhase.RUNNING, outdated=True),
            StepState.RUNNING,
            "",
            id="started, then changed",
        ),
        pytest.param(lambda s: s.child("sft", ChildPhase.RUNNING), StepState.RUNNING, "", id="running"),
        pytest.param(lambda s: s.child("sft", ChildPhase.SUCCEEDED), StepState.RUNNING, "", id="not committed yet"),
        pytest.param(lambda s: s, StepState.WAITING, "ChildLost", id="vanished"),
        pytest.param(
            lambda s: s.child("sft", ChildPhase.RUNNING, uid="another"), StepState.WAITING, "ChildLost", id="other uid"
        ),
        pytest.param(
            lambda s: s.child("sft", ChildPhase.RUNNING, deleting=True), StepState.WAITING, "ChildLost", id="deleted"
        ),
        pytest.param(lambda s: s.child("sft", ChildPhase.FAILED), StepState.WAITING, "Failed", id="failed, no word"),
        pytest.param(
            lambda s: s.child("sft", ChildPhase.FAILED, failure=failure(FailureClass.APPLICATION)),
            StepState.WAITING,
            "ExitCode",
            id="failed",
        ),
        pytest.param(
            lambda s: s.child("sft", ChildPhase.FAILED, failure=failure(FailureClass.PERMANENT)),
            StepState.FAILED,
            "ExitCode",
            id="permanent",
        ),
    ],
)
def test_what_a_child_does(see: Callable[[Scene], Scene], state: StepState, reason: str) -> None:
    after = row(see(training()).decide(), "sft")
    assert (after.state, after.reason) == (state, reason)


@pytest.mark.parametrize(
    "see",
    [
        pytest.param(lambda s: s.child("sft", ChildPhase.SUCCEEDED), id="and it says so"),
        pytest.param(
            lambda s: s.child("sft", ChildPhase.FAILED, failure=failure(FailureClass.PERMANENT)), id="but says failed"
        ),
        pytest.param(lambda s: s.child("sft", ChildPhase.RUNNING), id="and still runs"),
        pytest.param(lambda s: s, id="and is gone"),
        pytest.param(lambda s: s.put("sft", state=StepState.WAITING, retry_at=ago(-99)), id="before its next attempt"),
        pytest.param(lambda s: s.put("sft", state=StepState.WAITING, attempt=0), id="though it never began"),
    ],
)
def test_committed_wins(see: Callable[[Scene], Scene]) -> None:
    after = row(see(training().commit("m1")).decide(), "sft")
    assert after.state is StepState.SUCCEEDED
    assert after.outputs == {"m1": digest("m1")}
    assert after.finished_at is not None
    assert (after.reason, after.retry_at) == ("", None)


def test_a_step_is_done_when_all_its_artifacts_are_committed() -> None:
    moment = scene("import", seedData={"instructions": {"uri": "file:///x"}}).active("import", running_at=ago(9))
    moment.child("import", ChildPhase.RUNNING).commit("seed")
    assert row(moment.decide(), "import").state is StepState.RUNNING
    after = row(moment.commit("m0").decide(), "import")
    assert after.outputs == {"seed": digest("seed"), "m0": digest("m0")}


def test_a_failed_step_stays_failed_until_somebody_asks() -> None:
    moment = training().put("sft", state=StepState.FAILED).commit("m1")
    assert row(moment.decide(), "sft").state is StepState.FAILED


def test_the_uid_is_recorded_when_the_child_is_first_seen() -> None:
    moment = scene("sft").active("sft", StepState.STARTING).child("sft", ChildPhase.PENDING)
    decision = moment.decide()
    assert (row(decision, "sft").state, row(decision, "sft").child_uid) == (StepState.RUNNING, "uid-sft")
    assert created(decision) == []


def test_a_child_nobody_has_seen_is_created_again_under_its_name() -> None:
    moment = scene("sft").active("sft", StepState.STARTING)
    for _ in range(2):
        decision = moment.decide()
        assert [command.name for command in decision.create] == ["run-sft-a1"]
        assert decision.status.iterations == moment.run.status.iterations
        moment.accept(decision)


def test_running_is_noted_with_the_clusters_time() -> None:
    moment = scene("sft").active("sft").child("sft", ChildPhase.RUNNING, running_at=ago(7))
    assert row(moment.decide(), "sft").running_at == ago(7)


class TestProgress:
    def see(self, done: int, seconds_ago: float, **written: Any) -> Scene:
        line = progress(done, ago(seconds_ago))
        return training().put("sft", **written).child("sft", ChildPhase.RUNNING, progress=line)

    def test_is_written(self) -> None:
        decision = self.see(5, 1).decide()
        after = row(decision, "sft")
        assert after.progress is not None
        assert (after.progress.done, after.progress.total, after.progress.unit) == (5, 100, "candidates")
        assert after.progressed_at == ago(1)
        assert after.metrics == {"tokens_per_second": 12.0}
        assert (decision.status.step, decision.status.progress) == ("sft", "5/100 candidates")

    @pytest.mark.parametrize(
        ("done", "since", "written"),
        [
            pytest.param(6, PROGRESS_SECONDS - 1, False, id="news, too soon"),
            pytest.param(6, PROGRESS_SECONDS, True, id="news"),
            pytest.param(100, 1, True, id="the last line, at once"),
            pytest.param(5, 24, False, id="a sign of life, too soon"),
            pytest.param(5, 25, True, id="a sign of life"),
        ],
    )
    def test_is_written_now_and_then(self, done: int, since: float, written: bool) -> None:
        first = self.see(5, 30)
        moment = first.accept(first.decide())
        moment.children.clear()
        moment.child("sft", ChildPhase.RUNNING, progress=progress(done, ago(30 - since)))
        decision = moment.decide()
        assert (decision.status is not moment.run.status) is written

    @pytest.mark.parametrize(
        ("done", "ended"), [pytest.param(50, False, id="stands still"), pytest.param(51, True, id="gets on")]
    )
    def test_getting_on_ends_a_streak_of_faults(self, done: int, ended: bool) -> None:
        first = self.see(50, 40, infrastructure_since=ago(900))
        moment = first.accept(first.decide())
        assert moment.row("sft").infrastructure_since == ago(900), "its first line may be a checkpoint's"
        moment.children.clear()
        moment.child("sft", ChildPhase.RUNNING, progress=progress(done, ago(1)))
        assert (row(moment.decide(), "sft").infrastructure_since is None) is ended


class TestMetrics:
    def test_come_from_the_results(self) -> None:
        told = result("sft", metrics={"loss": 1.5})
        moment = training().commit("m1").child("sft", ChildPhase.SUCCEEDED, results=(told,))
        assert row(moment.decide(), "sft").metrics == {"loss": 1.5}

    def test_come_late_when_the_output_is_committed_first(self) -> None:
        moment = training().commit("m1").child("sft", ChildPhase.RUNNING, progress=progress(3, ago(1)))
        moment.accept(moment.decide())
        assert moment.row("sft").metrics == {}
        told = result("sft", metrics={"loss": 1.5})
        moment.children.clear()
        moment.child("sft", ChildPhase.SUCCEEDED, results=(told,))
        after = row(moment.decide(), "sft")
        assert after.metrics == {"loss": 1.5}
        assert after.finished_at == moment.row("sft").finished_at

    def test_are_kept_when_the_child_is_gone(self) -> None:
        moment = scene("judge-1").put("respond-1", metrics={"candidates": 8})
        assert row(moment.decide(), "respond-1").metrics == {"candidates": 8}

    @pytest.mark.parametrize(
        ("name", "total"),
        [
            pytest.param("candidates", 40, id="counts add up"),
            pytest.param("completion_tokens", 40, id="tokens add up"),
            pytest.param("parse_rate", 20, id="rates do not"),
            pytest.param("tokens_per_second", 20, id="nor speeds, of shards that run one after the other"),
            pytest.param("concurrency_measured", 20, id="nor levels"),
            pytest.param("mean_score", 20, id="nor means"),
        ],
    )
    def test_of_shards(self, name: str, total: float) -> None:
        assert total_metrics(result("judge-1", metrics={name: value}) for value in (10, 30)) == {name: total}

    def test_that_one_shard_lacks_are_taken_from_the_others(self) -> None:
        assert total_metrics([result("judge-1"), result("judge-1", metrics={"candidates": 3})]) == {"candidates": 3}


def test_a_failed_child_is_deleted_and_the_next_attempt_waits_until_it_is_gone() -> None:
    moment = training().child("sft", ChildPhase.FAILED, failure=failure(FailureClass.APPLICATION))
    decision = moment.decide()
    assert deleted(decision) == ["run-sft-a1"]
    moment.accept(decision).later(60)
    assert row(moment.decide(), "sft").attempt == 1
    moment.children.clear()
    again = moment.decide()
    assert row(again, "sft").attempt == 2
    assert [command.name for command in again.create] == ["run-sft-a2"]


def test_numbers_come_from_the_manifests_when_nobody_is_left_to_tell_them() -> None:
    moment = scene("judge-1").active("judge-1").commit("iteration-1/judgements")
    moment.measured = {"iteration-1/judgements": [{"parsed": 3, "parse_rate": 0.1}, {"parsed": 5, "parse_rate": 0.3}]}
    decision = moment.decide()
    assert row(decision, "judge-1").state is StepState.SUCCEEDED
    assert row(decision, "judge-1").metrics == {"parsed": 8, "parse_rate": 0.2}


def test_a_shard_that_was_committed_before_counts_with_the_numbers_of_its_manifest() -> None:
    moment = scene("judge-1").active("judge-1").commit("iteration-1/judgements")
    moment.measured = {"iteration-1/judgements": [{"parsed": 3, "parse_rate": 0.1}, {"parsed": 5, "parse_rate": 0.3}]}
    found, told = result("judge-1"), result("judge-1", metrics={"parsed": 5, "parse_rate": 0.3})
    results = (found.model_copy(update={"reason": "AlreadyCommitted"}), told)
    moment.child("judge-1", ChildPhase.SUCCEEDED, results=results)
    assert row(moment.decide(), "judge-1").metrics == {"parsed": 8, "parse_rate": 0.2}
    moment.measured = {}
    assert row(moment.decide(), "judge-1").metrics == {"parsed": 5, "parse_rate": 0.3}, "an older version's artifact"


@pytest.mark.parametrize("way", ["found before it began", "its pods are gone", "found by another attempt"])
def test_the_size_of_the_base_model_is_known_however_the_import_was_found_to_be_done(way: str) -> None:
    moment = scene("import")
    node = build_graph(moment.run.spec).node("import")
    assert node.outputs[:2] == ("seed", "m0")
    moment.commit(*node.outputs)
    size = {"parameters": 8e9, "cache_bytes_per_token": 1e5}
    moment.measured = {artifact: [size if artifact == "m0" else {}] for artifact in node.outputs}
    if way != "found before it began":
        done = result("import").model_copy(update={"reason": "AlreadyCommitted"})
        results = (done,) if way == "found by another attempt" else ()
        moment.active("import").child("import", ChildPhase.SUCCEEDED, results=results)
    assert row(moment.decide(), "import").metrics == size


def test_a_gate_weighs_the_numbers_of_a_manifest() -> None:
    moment = scene("pairs-1", gates={"parseRate": {"action": "stop"}}).active("pairs-1").commit("iteration-1/pairs")
    moment.measured = {"iteration-1/pairs": [{"parse_rate": 0.1, "pairs": 20}]}
    decision = moment.decide()
    assert [event.reason for event in decision.events if event.warning] == [EventReason.GATE_TRIPPED]
    assert created(decision) == []


def test_a_child_that_has_not_ended_tells_its_numbers_itself() -> None:
    moment = training().commit("m1").child("sft", ChildPhase.RUNNING)
    moment.measured = {"m1": [{"loss": 1.0}]}
    decision = moment.decide()
    assert row(decision, "sft").metrics == {}
    # Then its node is lost, and it with it: the output is still looked up, for its numbers.
    moment.accept(decision)
    assert "m1" in artifacts_to_observe(build_graph(moment.run.spec), moment.run.status)
    moment.children = []
    assert row(moment.decide(), "sft").metrics == {"loss": 1.0}
