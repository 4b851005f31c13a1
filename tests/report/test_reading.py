"""From status and store to the report: the artifacts' own numbers, and no more than there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report.conftest import NOW
from report.made_run import MadeRun
from selfreward.api import SelfRewardRun
from selfreward.report.model import Estimate, RunReport
from selfreward.report.reading import read_report
from selfreward.report.texts.model import Excerpt
from selfreward_steps.store import Store, open_store


def report(made: MadeRun, candidates: int = 10_000) -> RunReport:
    run, store = made.make()
    return read_report(run, store, NOW, candidates=candidates)


def test_the_numbers_are_the_artifacts(tmp_path: Path) -> None:
    run, store = MadeRun(tmp_path).make()
    found = read_report(run, store, NOW)
    for model in found.models[1:]:
        with store.open(f"evaluation/m{model.number}", "metrics.json") as file:
            document = json.load(file)
        assert model.judge is not None
        for name, estimate in model.judge.measures.items():
            stated = document["judge"][name]
            assert (estimate.value, estimate.low, estimate.high) == (stated["value"], stated["low"], stated["high"])
        assert model.answer_chars == Estimate(document["answers"]["mean_chars"])
    for each in found.iterations:
        with store.open(f"iteration-{each.number}/pairs", "statistics.json") as file:
            document = json.load(file)
        assert each.count("pairs") == document["pairs"]
        assert each.count("mean_margin") == document["mean_margin"]


def test_the_line_of_models(whole: RunReport) -> None:
    found = whole
    assert [model.name for model in found.models] == ["M0", "M1", "M2", "M3"]
    assert [[step.key for step in model.made_by] for model in found.models] == [
        ["import"],
        ["sft-baseline", "eft", "sft"],
        ["prompts-1", "respond-1", "judge-1", "pairs-1", "dpo-1"],
        ["prompts-2", "respond-2", "judge-2", "pairs-2", "dpo-2"],
    ]
    assert found.newest is found.models[3]
    assert found.headline == "Succeeded in 18m00s"
    assert (found.notices, len(found.iterations)) == ((), 2)


def test_a_base_model_that_is_m1_itself(tmp_path: Path) -> None:
    """Without human data there is no M0 apart."""
    made = MadeRun(tmp_path, iterations=1, spec={"seedData": {}, "prompts": {"source": {"uri": "s3://d/p.jsonl"}}})
    found = report(made)
    assert [(model.name, model.artifact) for model in found.models] == [("M1", "m0"), ("M2", "m2")]
    assert [step.key for step in found.models[0].made_by] == ["import"]


@pytest.mark.parametrize(
    ("until", "models", "iterations", "headline"),
    [
        pytest.param("import", 0, 0, "Iterating, import under way, 1h00m so far", id="nothing yet"),
        pytest.param("evaluate-m1", 2, 0, "Iterating, evaluate-m1 under way, 1h00m so far", id="M1 is there"),
        pytest.param("judge-2", 3, 1, "Iterating, judge-2 under way, 1h00m so far", id="in the second iteration"),
    ],
)
def test_a_run_half_way(tmp_path: Path, until: str, models: int, iterations: int, headline: str) -> None:
    found = report(MadeRun(tmp_path, until=until))
    assert sum(model.digest is not None for model in found.models) == models
    assert len(found.models) == 4, "what is to come is shown as missing"
    assert len(found.iterations) == iterations
    assert found.headline == headline
    running = next(step for step in found.steps if step.key == until)
    assert running.words == "3 of 9 prompts"
    assert all(step.seconds is None and step.gpu_seconds is None for step in found.steps if step.state == "Waiting")


def test_a_failed_step_tells_why(tmp_path: Path) -> None:
    run, store = MadeRun(tmp_path, until="dpo-1").make()
    document = run.model_dump(mode="json", by_alias=True)
    (row,) = [row for each in document["status"]["iterations"] for row in each["steps"] if row["key"] == "dpo-1"]
    row |= {"state": "Failed", "reason": "LossNotFinite", "message": "loss became nan at step 3"}
    condition = {"type": "Failed", "status": "True", "reason": "StepFailed", "message": "dpo-1 used up its retries"}
    document["status"] |= {"phase": "Failed", "conditions": [{**condition, "lastTransitionTime": NOW.isoformat()}]}
    found = read_report(SelfRewardRun.model_validate(document), store, NOW)
    assert found.headline == "Failed: StepFailed: dpo-1 used up its retries"
    assert found.notices == ("dpo-1: LossNotFinite: loss became nan at step 3",)


def test_gates_speak(tmp_path: Path) -> None:
    run, store = MadeRun(tmp_path, iterations=1).make()
    document = run.model_dump(mode="json", by_alias=True)
    document["status"]["conditions"] = [
        {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": NOW.isoformat()}
        for kind, reason, message in (
            ("GateTripped", "GateTripped", "pairs-1: only 9% of the judgements state a score"),
            ("Succeeded", "StoppedByGate", "ended with m1, the last good model"),
        )
    ]
    found = read_report(SelfRewardRun.model_validate(document), store, NOW)
    assert found.notices == ("Gate: pairs-1: only 9% of the judgements state a score",)
    assert found.headline.endswith(": ended with m1, the last good model")


def test_a_damaged_artifact_is_named_and_the_rest_shown(tmp_path: Path) -> None:
    run, store = MadeRun(tmp_path).make()
    path = tmp_path / "artifacts" / "namespace=default" / "made" / "evaluation" / "m2" / "metrics.json"
    path.write_text(path.read_text().replace("0.9", "0.8"))
    found = read_report(run, store, NOW)
    assert [model.judge is not None for model in found.models] == [False, True, False, True]
    (notice,) = found.notices
    assert notice.startswith("evaluation/m2/metrics.json could not be read: ")


def test_artifacts_that_lie_elsewhere(tmp_path: Path) -> None:
    """A run on a claim, reported from a machine that does not mount it."""
    run, _ = MadeRun(tmp_path / "there").make()
    empty: Store = open_store((tmp_path / "here").as_uri())
    found = read_report(run, empty, NOW)
    assert found.notices == (f"{empty.uri} holds none of the run's artifacts: say with --store where they lie",)
    assert len(found.steps) == 18


def test_a_token_in_the_spec_is_not_handed_around(tmp_path: Path) -> None:
    env = [{"name": "HF_TOKEN", "value": "hf_secret"}, {"name": "OTHER", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]
    found = report(MadeRun(tmp_path, spec={"workloads": {"generation": {"env": env}}}))
    assert "hf_secret" not in found.spec
    assert "HF_TOKEN" in found.spec
    assert "fieldPath" in found.spec


def test_without_texts_none_is_read(tmp_path: Path) -> None:
    assert report(MadeRun(tmp_path), candidates=0).excerpt == Excerpt()
