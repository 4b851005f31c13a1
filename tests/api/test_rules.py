"""Every CEL rule has a resource that breaks it and it alone; the example of a valid resource breaks none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from selfreward.api import RunStatus, SelfRewardRun
from selfreward.api.rules import DATA_SOURCES, MODEL_SOURCES, RULES, violations

DATA = {"uri": "file:///data.jsonl"}
TOKEN = {"name": "hub"}


def run(status: RunStatus | None = None, **spec: Any) -> SelfRewardRun:
    valid = {"model": {"uri": "hf://owner/name"}, "seedData": {"instructions": DATA}}
    return SelfRewardRun(metadata={"name": "run"}, spec=valid | spec, status=status or RunStatus())


def custom(**changes: Any) -> dict[str, Any]:
    template = {"text": "{prompt} {response}"} | changes
    return {"judge": {"template": "custom", "customTemplate": template}}


def by_token(**changes: Any) -> dict[str, Any]:
    return {"judge": custom(**changes)["judge"] | {"mode": "logprob"}}


def comparing(spec: dict[str, Any] | None = None, **judge: Any) -> dict[str, Any]:
    return {"judge": {"mode": "pairwise"} | judge} | (spec or {})


INITIAL = {"referenceModel": "initial"}
WEIGHTED = {"consistencyWeighted": True} | INITIAL
CONSISTENT = {"minConsistency": 0}
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("spec.responses.perPrompt", {"preferences": {"strategy": "best-two-sigma"}}),
    *[
        (path, {**options, **spec, "training": {**options.get("training", {}), **spec.get("training", {})}})
        for path, options in (
            ("spec.training.dpo.consistencyWeighted", {"training": {"dpo": WEIGHTED}}),
            ("spec.preferences.minConsistency", {"preferences": CONSISTENT, "training": {"dpo": INITIAL}}),
        )
        for spec in ({"training": {"nodes": 2}},)
    ],
    ("spec.training.dpo.consistencyWeighted", {"training": {"dpo": {"consistencyWeighted": True}}}),
    ("spec.preferences.minConsistency", {"preferences": CONSISTENT}),
    (
        "spec.training.dpo.consistencyWeighted",
        {"training": {"dpo": WEIGHTED}, "preferences": {"strategy": "positive-only"}},
    ),
    (
        "spec.preferences.minConsistency",
        {"preferences": CONSISTENT | {"strategy": "positive-only"}, "training": {"dpo": INITIAL}},
    ),
    ("spec.training.dpo.consistencyWeighted", {"training": {"dpo": WEIGHTED | {"lossType": "ipo"}}}),
    ("spec.judge.metaJudge", {"judge": {"metaJudge": {}, "samples": 1}}),
    ("spec.judge.metaJudge", {"judge": {"metaJudge": {}, "model": "initial"}}),
    ("spec.judge.metaJudge", {"judge": {"metaJudge": {}}, "preferences": {"strategy": "positive-only"}}),
    ("spec.judge.metaJudge.text", {"judge": {"metaJudge": {"text": "{prompt} {response} {first}"}}}),
    ("spec.judge.customTemplate.text", comparing(**custom()["judge"])),
    (
        "spec.judge.customTemplate.scorePattern",
        comparing(**custom(text="{prompt} {first} {second}", scorePattern="(.)")["judge"]),
    ),
    ("spec.seedData.eft", comparing({"seedData": {"instructions": DATA, "eft": DATA}})),
    ("spec.eft.mode", comparing({"seedData": {"instructions": DATA, "rankings": DATA}})),
    ("spec.preferences.maxScoreStd", comparing({"preferences": {"maxScoreStd": 1}})),
    ("spec.preferences.rejected", comparing({"preferences": {"rejected": "anchored"}})),
    ("spec.preferences.strategy", comparing({"preferences": {"strategy": "positive-only"}})),
    (
        "spec.training.dpo.additionalLosses",
        {"training": {"dpo": {"additionalLosses": [{"type": "sft"}, {"type": "sft", "weight": 2}]}}},
    ),
    (
        "spec.training.dpo.selection",
        {"preferences": {"strategy": "positive-only"}, "training": {"dpo": {"selection": {}}}},
    ),
    ("spec.model.revision", {"model": {"uri": "file:///m", "revision": "main"}}),
    ("spec.model.tokenSecretRef", {"model": {"uri": "file:///m", "tokenSecretRef": TOKEN}}),
    ("spec.judge.source.revision", {"judge": {"model": "model", "source": {"uri": "s3://b/m", "revision": "v1"}}}),
    (
        "spec.judge.source.tokenSecretRef",
        {"judge": {"model": "model", "source": {"uri": "s3://b/m", "tokenSecretRef": TOKEN}}},
    ),
    *[
        (f"spec.seedData.{role}.{field}", {"seedData": {"instructions": DATA, role: DATA | {field: value}}})
        for role in ("instructions", "rankings", "eft")
        for field, value in (("revision", "main"), ("tokenSecretRef", TOKEN))
    ],
    ("spec.prompts.source.revision", {"prompts": {"source": DATA | {"revision": "main"}}}),
    ("spec.prompts.source.tokenSecretRef", {"prompts": {"source": DATA | {"tokenSecretRef": TOKEN}}}),
    *[
        (f"spec.evaluation.{source}.{field}", {"evaluation": {source: DATA | {field: value}}})
        for source in ("source", "outside", "mtBench", "safetyPrompts")
        for field, value in (("revision", "main"), ("tokenSecretRef", TOKEN))
    ],
    *[
        (
            f"spec.evaluation.judge.source.{field}",
            {"evaluation": {"judge": {"model": "model", "source": {"uri": "s3://b/m", field: value}}}},
        )
        for field, value in (("revision", "main"), ("tokenSecretRef", TOKEN))
    ],
    ("spec.evaluation.judge.source", {"evaluation": {"judge": {"model": "model"}}}),
    ("spec.evaluation.judge.source", {"evaluation": {"judge": {"source": {"uri": "hf://a/b"}}}}),
    ("spec.evaluation.judge.endpoint", {"evaluation": {"judge": {"model": "endpoint"}}}),
    ("spec.evaluation.judge.endpoint", {"evaluation": {"judge": {"endpoint": {"url": "http://j/v1", "model": "j"}}}}),
    ("spec.judge.source", {"judge": {"model": "model"}}),
    ("spec.judge.source", {"judge": {"source": {"uri": "hf://a/b"}}}),
    ("spec.judge.endpoint", {"judge": {"model": "endpoint"}}),
    ("spec.judge.endpoint", {"judge": {"endpoint": {"url": "http://judge/v1", "model": "j"}}}),
    ("spec.judge.customTemplate", {"judge": {"template": "custom"}}),
    ("spec.judge.customTemplate", {"judge": {"customTemplate": {"text": "{prompt}{response}"}}}),
    ("spec.judge.customTemplate.text", custom(text="rate {response}")),
    ("spec.judge.customTemplate.text", custom(uri="file:///template.txt")),
    ("spec.judge.customTemplate.minScore", custom(minScore=5, maxScore=5)),
    ("spec.judge.customTemplate.scorePattern", custom(scorePattern="Score: [0-9]")),
    ("spec.judge.customTemplate.maxScore", by_token(minScore=1, maxScore=10)),
    ("spec.prompts.source", {"prompts": {"generator": "file"}}),
    ("spec.prompts.source", {"seedData": {}}),
    (
        "spec.publish.models",
        {"publish": {"repository": "a/b", "tokenSecretRef": {"name": "hub"}, "models": False, "pairs": False}},
    ),
    ("spec.prompts.minWords", {"prompts": {"minWords": 9, "maxWords": 8}}),
    ("spec.seedData.eft", {"eft": {"mode": "given"}}),
    ("spec.seedData.rankings", {"eft": {"mode": "direct"}}),
    ("spec.seedData.instructions", {"seedData": {"rankings": DATA}, "prompts": {"source": DATA}}),
    ("spec.preferences.lengthControl", {"iterations": 1, "preferences": {"lengthControl": [0.1, 0.2]}}),
    ("spec.preferences.rejected", {"preferences": {"strategy": "positive-only", "rejected": "anchored"}}),
    ("spec.training.sft.minLearningRate", {"training": {"sft": {"learningRate": 1e-7}}}),
    ("spec.training.dpo.minLearningRate", {"training": {"dpo": {"learningRate": 1e-8}}}),
    ("spec.training.sft.batchSize", {"training": {"processesPerNode": 2, "sft": {"batchSize": 3}}}),
    ("spec.training.dpo.batchSize", {"training": {"nodes": 2, "dpo": {"batchSize": 5}}}),
    ("spec.serving.tensorParallel", {"serving": {"engine": "transformers", "tensorParallel": 2}}),
    ("spec.serving.enginesPerServer", {"serving": {"engine": "transformers", "enginesPerServer": 2}}),
    ("spec.serving.deviceClassName", {"serving": {"deviceClassName": "gpu.example.com", "keep": "awake"}}),
    ("spec.serving.replicas", {"serving": {"deviceClassName": "gpu.example.com", "replicas": 2}}),
    ("spec.training.nodes", {"serving": {"deviceClassName": "gpu.example.com"}, "training": {"nodes": 2}}),
    ("spec.storage.claimName", {"storage": {"uri": "s3://b/p", "claimName": "c"}}),
    ("spec.storage.endpointUrl", {"storage": {"uri": "file:///p", "endpointUrl": "http://s3"}}),
    ("spec.storage.secret", {"storage": {"uri": "file:///p", "secret": "s"}}),
    ("spec.schedule.cron", {"schedule": {}}),
    ("spec.schedule.cron", {"schedule": {"cron": "0 0 30 2 *"}}),
    ("spec.schedule.timeZone", {"schedule": {"cron": "@daily", "timeZone": "Mars/Olympus"}}),
    ("spec.training.dpo.labelSmoothing", {"training": {"dpo": {"labelSmoothing": 0.1}}}),
    ("spec.training.dpo.labelSmoothing", {"training": {"dpo": {"lossType": "exo_pair"}}}),
    ("spec.deadlines.progress", {"deadlines": {"progress": 100, "step": 60}}),
    ("spec.retry.backoffSeconds", {"retry": {"backoffSeconds": 400}}),
]

STARTED = RunStatus(started_at=datetime(2026, 1, 1, tzinfo=UTC), model="m0")
ITERATING = STARTED.model_copy(update={"iteration": 1})

CHANGED: list[tuple[str, RunStatus, dict[str, Any]]] = [
    ("spec.model", STARTED, {"model": {"uri": "hf://owner/other"}}),
    ("spec.seedData", STARTED, {"seedData": {"instructions": {"uri": "file:///other.jsonl"}}}),
    ("spec.eft", STARTED, {"eft": {"testFraction": 0.5}}),
    ("spec.storage", STARTED, {"storage": {"uri": "s3://b/p"}}),
    ("spec.randomSeed", STARTED, {"randomSeed": 7}),
    ("spec.training.sft", STARTED, {"training": {"sft": {"epochs": 3}}}),
    ("spec.prompts.source", STARTED, {"prompts": {"source": {"uri": "file:///mine.jsonl"}}}),
    ("spec.judge.model", STARTED, {"judge": {"model": "initial"}}),
    ("spec.judge.source", STARTED, {"judge": {"model": "model", "source": {"uri": "hf://another/judge"}}}),
    ("spec.judge.template", STARTED, {"judge": {"template": "additive"}}),
    ("spec.judge.customTemplate", STARTED, custom(maxScore=9)),
    ("spec.prompts", ITERATING, {"prompts": {"count": 9}}),
    ("spec.responses", ITERATING, {"responses": {"perPrompt": 8}}),
    ("spec.judge.mode", ITERATING, {"judge": {"mode": "logprob"}}),
    ("spec.judge.samples", ITERATING, {"judge": {"samples": 5}}),
    ("spec.judge.sampling", ITERATING, {"judge": {"sampling": {"temperature": 0.1}}}),
    ("spec.judge.metaJudge", ITERATING, {"judge": {"metaJudge": {}}}),
    ("spec.preferences", ITERATING, {"preferences": {"minMargin": 1}}),
    ("spec.training.dpo", ITERATING, {"training": {"dpo": {"beta": 0.2}}}),
    ("spec.serving.generationShards", ITERATING, {"serving": {"generationShards": 9}}),
    ("spec.evaluation.prompts", ITERATING, {"evaluation": {"prompts": 9}}),
    ("spec.evaluation.sampling", ITERATING, {"evaluation": {"sampling": {"temperature": 0.5}}}),
    *[
        (f"spec.evaluation.{field}", ITERATING, {"evaluation": {field: DATA}})
        for field in ("source", "outside", "mtBench", "safetyPrompts")
    ],
    ("spec.evaluation.lmEval", ITERATING, {"evaluation": {"lmEval": {"tasks": ["arc_easy"]}}}),
    ("spec.evaluation.judge.model", ITERATING, {"evaluation": {"judge": {"model": "initial"}}}),
    (
        "spec.evaluation.judge.source",
        ITERATING,
        {"evaluation": {"judge": {"model": "model", "source": {"uri": "hf://another/judge"}}}},
    ),
    ("spec.managedBy", RunStatus(), {"managedBy": "kueue.x-k8s.io/multikueue"}),
    ("spec.iterations", STARTED, {"iterations": 1}),
]
BEFORE: dict[str, dict[str, Any]] = {
    "spec.judge.source": {"judge": {"model": "model", "source": {"uri": "hf://a/judge"}}},
    "spec.judge.customTemplate": custom(),
    "spec.evaluation.judge.source": {"evaluation": {"judge": {"model": "model", "source": {"uri": "hf://a/judge"}}}},
}
"""What the run said before, where that is not what the smallest run says."""


def test_the_valid_example_breaks_no_rule() -> None:
    assert violations(run()) == []
    assert violations(run(), run(STARTED)) == []


@pytest.mark.parametrize(
    ("low", "high", "by_one_token"), [(0, 9, True), (0, 9.5, False), (1, 10, False), (-1, 1, False), (0, 100, False)]
)
def test_one_token_says_one_digit(low: float, high: float, by_one_token: bool) -> None:
    assert (violations(run(**by_token(minScore=low, maxScore=high))) == []) is by_one_token
    assert violations(run(**custom(minScore=low, maxScore=high))) == [], "critiques may say any number"


@pytest.mark.parametrize(("path", "spec"), [pytest.param(*case, id=f"{case[0]}-{i}") for i, case in enumerate(BROKEN)])
def test_a_broken_rule_names_its_field_and_no_other(path: str, spec: dict[str, Any]) -> None:
    assert [violation.path for violation in violations(run(**spec))] == [path]


@pytest.mark.parametrize(("path", "status", "spec"), [pytest.param(*case, id=case[0]) for case in CHANGED])
def test_what_past_work_used_cannot_change(path: str, status: RunStatus, spec: dict[str, Any]) -> None:
    assert [each.path for each in violations(run(**spec), run(status, **BEFORE.get(path, {})))] == [path]


@pytest.mark.parametrize(("path", "status", "spec"), [pytest.param(*case, id=case[0]) for case in CHANGED[:-2]])
def test_before_the_start_anything_may_change(path: str, status: RunStatus, spec: dict[str, Any]) -> None:
    assert violations(run(**spec), run()) == []


@pytest.mark.parametrize("spec", [{"model": {"uri": "hf://owner/other"}}, {"randomSeed": 7}])
def test_before_anything_is_committed_a_mistyped_path_may_be_mended(spec: dict[str, Any]) -> None:
    assert violations(run(**spec), run(STARTED.model_copy(update={"model": ""}))) == []


def test_where_a_judge_listens_may_be_put_right() -> None:
    """It is found to be wrong only by using it."""
    at = [{"judge": {"model": "endpoint", "endpoint": {"url": f"http://{host}/v1", "model": "j"}}} for host in "ab"]
    assert violations(run(**at[1]), run(ITERATING, **at[0])) == []


def test_what_is_left_may_change_at_any_time() -> None:
    lively = {"deadlines": {"run": 100}, "schedule": {"approval": True}}
    changes = {"iterations": 3, "suspend": True, "retry": {"limit": 9}} | lively
    assert violations(run(**changes), run(ITERATING)) == []


def test_every_rule_is_broken_by_some_case() -> None:
    named = [path for path, _ in BROKEN] + [path for path, _, _ in CHANGED]
    ruled = [".".join(part for part in (rule.path, rule.field) if part) for rule in RULES]
    assert sorted(named) == sorted(ruled)


def test_the_source_rules_cover_every_source() -> None:
    schema = run().spec.model_json_schema(by_alias=True)
    sources = [
        (owner, field)
        for owner, definition in schema["$defs"].items()
        for field, value in definition.get("properties", {}).items()
        if any(f"$defs/{kind}" in str(value) for kind in ("ModelSource", "DataSource"))
    ]
    assert len(sources) + 1 == len(MODEL_SOURCES + DATA_SOURCES)  # spec.model itself stands outside $defs
