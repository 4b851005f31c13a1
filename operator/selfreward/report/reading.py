"""Reading of a run and its store into the typed report. What a run has not reached is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import yaml
from selfreward_steps.contract import TRAINING_CURVE, StepName, artifact_names
from selfreward_steps.contract.artifact_names import IterationArtifact
from selfreward_steps.store import Store

from selfreward.api import (
    ConditionType,
    Phase,
    Reason,
    SelfRewardRun,
    StepState,
    StepStatus,
)
from selfreward.api.annotations import GPUS
from selfreward.plan import build_graph, model_artifact, step_key
from selfreward.report import cost, evidence
from selfreward.report.artifacts import Artifacts
from selfreward.report.gates import gate_reports
from selfreward.report.highlights import highlights
from selfreward.report.model import IterationReport, ModelReport, RunReport, StepReport
from selfreward.report.texts.candidates import candidates as read_candidates
from selfreward.report.texts.evaluations import comparisons, rankings
from selfreward.report.texts.model import Excerpt
from selfreward.report.words import duration

DEFAULT_CANDIDATES: Final = 10_000
"""Candidates that a page carries; more are sampled evenly."""
_EVALUATED: Final = 5
"""A page carries a comparison, and a ranked prompt, for so many candidates."""
_MEASURES: Final = re.compile(rf"-(m\d+|{artifact_names.SFT_BASELINE})$")


def read_report(run: SelfRewardRun, store: Store, now: datetime, *, candidates: int = DEFAULT_CANDIDATES) -> RunReport:
    """Everything of the run so far. `candidates` of 0 leaves the texts out, which a comparison does not need.

    Raises the store's errors when it cannot be reached.
    """
    artifacts = Artifacts(store)
    steps = step_reports(run, now)
    iterations = _iterations(artifacts, run.spec.iterations, {step.key: step for step in steps})
    models, baseline = _models(run, artifacts, steps), _baseline(artifacts, steps)
    status = run.status
    return RunReport(
        name=run.metadata.name,
        namespace=run.metadata.namespace,
        phase=status.phase,
        headline=_headline(run, now),
        base_model=run.spec.model.uri,
        iterations_asked=run.spec.iterations,
        started_at=status.started_at,
        finished_at=status.finished_at,
        models=models,
        iterations=iterations,
        steps=steps,
        spec=_spec(run),
        artifacts=store.uri,
        baseline=baseline,
        notices=(*_told(run), *_missing(run, store, models), *dict.fromkeys(artifacts.problems)),
        gates=gate_reports(run),
        excerpt=_excerpt(artifacts, run.spec.iterations, models, baseline, candidates) if candidates else Excerpt(),
    )


def _rows(run: SelfRewardRun) -> list[StepStatus]:
    return [row for iteration in run.status.iterations for row in iteration.steps]


def step_reports(run: SelfRewardRun, now: datetime) -> tuple[StepReport, ...]:
    """Every step of the graph and what it cost, from the status alone."""
    graph = build_graph(run.spec)
    rows = {row.key: row for row in _rows(run)}
    spans = {key: found for key, row in rows.items() if (found := cost.span(row, now)) is not None}
    # On a machine without GPUs nothing of what a cluster's pods would ask for was used.
    gpus = {} if run.metadata.annotations.get(GPUS) == "0" else cost.gpu_seconds(run.spec, graph, spans)
    return tuple(
        StepReport(
            key=node.key,
            iteration=node.iteration,
            state=row.state,
            attempt=row.attempt,
            seconds=spans[node.key].seconds if node.key in spans else None,
            gpu_seconds=gpus.get(node.key),
            tokens=row.metrics.get("completion_tokens"),
            metrics=dict(row.metrics),
            words=_words(row),
            after=(*node.after, *node.after_first_shard),
        )
        for node in graph.nodes
        if (row := rows.get(node.key, StepStatus(key=node.key, step=node.step))) is not None
    )


def _words(row: StepStatus) -> str:
    if row.state is StepState.SUCCEEDED:
        return highlights(row.step, row.metrics)
    if row.state is StepState.RUNNING and row.progress is not None:
        total = f" of {row.progress.total:,}" if row.progress.total is not None else ""
        return f"{row.progress.done:,}{total} {row.progress.unit}"
    return row.message


def _iterations(artifacts: Artifacts, count: int, steps: Mapping[str, StepReport]) -> tuple[IterationReport, ...]:
    """The rounds that have pairs, with what DPO then did on them."""
    found = []
    for number in range(1, count + 1):
        document = artifacts.document(artifact_names.of_iteration(number, IterationArtifact.PAIRS), "statistics.json")
        if document is not None:
            # Of the model that is kept: the chosen one, where it is chosen. None with `positive-only`.
            training = steps.get(step_key(StepName.SELECT, number)) or steps.get(step_key(StepName.DPO, number))
            numbers = {} if training is None else training.metrics
            told = {f"dpo_{name}": value for name, value in numbers.items() if "reward_" in name}
            found.append(evidence.iteration(number, {**document, **told}))
    return tuple(found)


def _models(run: SelfRewardRun, artifacts: Artifacts, steps: Sequence[StepReport]) -> tuple[ModelReport, ...]:
    """M0, M1, … to the last that is asked for. A run without human data has no M0 apart from M1."""
    spec = run.spec
    first = 1 if model_artifact(spec, 1) == artifact_names.BASE_MODEL else 0
    return tuple(_model(run, artifacts, steps, number, first) for number in range(first, spec.iterations + 2))


def _model(
    run: SelfRewardRun, artifacts: Artifacts, steps: Sequence[StepReport], number: int, first: int
) -> ModelReport:
    artifact = model_artifact(run.spec, number)
    metrics = _evaluation(artifacts, artifact_names.evaluation(number))
    return ModelReport(
        number=number,
        artifact=artifact,
        digest=artifacts.digest(artifact),
        made_by=tuple(step for step in steps if _makes(step, number, first)),
        judge=evidence.judge_quality(metrics),
        head_to_heads=tuple(evidence.head_to_heads(metrics, number)),
        answer_chars=evidence.answer_chars(metrics),
        answers_truncated=evidence.answers_truncated(metrics),
        seen_prompts=evidence.seen_prompts(metrics),
        unsafe=evidence.unsafe(metrics),
        tasks=evidence.task_scores(metrics),
        training=_training(artifacts, artifact),
    )


def _baseline(artifacts: Artifacts, steps: Sequence[StepReport]) -> ModelReport | None:
    """The SFT baseline as it was measured; None while it was not."""
    metrics = _evaluation(artifacts, artifact_names.BASELINE_EVALUATION)
    if not metrics:
        return None
    return ModelReport(
        number=0,
        title=evidence.BASELINE,
        artifact=artifact_names.SFT_BASELINE,
        digest=artifacts.digest(artifact_names.SFT_BASELINE),
        made_by=tuple(step for step in steps if step.key == StepName.SFT_BASELINE),
        judge=evidence.judge_quality(metrics),
        answer_chars=evidence.answer_chars(metrics),
        answers_truncated=evidence.answers_truncated(metrics),
        seen_prompts=evidence.seen_prompts(metrics),
    )


def _excerpt(
    artifacts: Artifacts, iterations: int, models: Sequence[ModelReport], baseline: ModelReport | None, limit: int
) -> Excerpt:
    """The texts of about so many candidates, and beside them a few of what evaluations wrote."""
    evaluations = {model.name: artifact_names.evaluation(model.number) for model in models}
    met = [
        (model.name, evaluations[model.name], each.against, each.section)
        for model in models
        for each in model.head_to_heads
    ]
    judged = [(model.name, evaluations[model.name]) for model in models if model.judge is not None]
    if baseline is not None and baseline.judge is not None:
        judged.insert(0, (baseline.name, artifact_names.BASELINE_EVALUATION))
    few = max(1, limit // _EVALUATED)
    return Excerpt(
        read_candidates(artifacts, iterations, limit),
        comparisons(artifacts, met, few),
        rankings(artifacts, judged, few),
    )


def _evaluation(artifacts: Artifacts, artifact: str) -> Mapping[str, Any]:
    return artifacts.document(artifact, "metrics.json") or {}


def _training(artifacts: Artifacts, artifact: str) -> tuple[Mapping[str, float], ...]:
    """The curve of the training that made a model; nothing for one that was imported."""
    return tuple(artifacts.rows(artifact, TRAINING_CURVE)) if artifacts.has(artifact, TRAINING_CURVE) else ()


def _makes(step: StepReport, number: int, first: int) -> bool:
    """Whether the step lies on the way from the model before to M_number."""
    # `evaluate-m2` and what belongs to it measure a model and make none.
    if _MEASURES.search(step.key):
        return False
    if step.key == StepName.IMPORT:
        return number == first
    return step.iteration == number - 1


def _headline(run: SelfRewardRun, now: datetime) -> str:
    status = run.status
    since = (status.finished_at or now) - status.started_at if status.started_at is not None else None
    if (failed := run.status.true_condition(ConditionType.FAILED)) is not None:
        return f"Failed: {failed.reason}: {failed.message}"
    if status.phase is Phase.SUCCEEDED:
        succeeded = run.status.true_condition(ConditionType.SUCCEEDED)
        early = f": {succeeded.message}" if succeeded and succeeded.reason == Reason.STOPPED_BY_GATE else ""
        return f"Succeeded{f' in {duration(since)}' if since is not None else ''}{early}"
    running = ", ".join(row.key for row in _rows(run) if row.state is StepState.RUNNING)
    words = f"{status.phase}{f', {running} under way' if running else ''}"
    return f"{words}, {duration(since)} so far" if since is not None else words


def _told(run: SelfRewardRun) -> list[str]:
    """What failed, and which gates a number did not keep to."""
    failed = [f"{row.key}: {row.reason}: {row.message}" for row in _rows(run) if row.state is StepState.FAILED]
    gates = run.status.true_condition(ConditionType.GATE_TRIPPED)
    return failed if gates is None else [*failed, f"Gate: {gates.message}"]


def _missing(run: SelfRewardRun, store: Store, models: Sequence[ModelReport]) -> list[str]:
    """Said when the status knows of artifacts and the store of none: a claim's path, read on another machine."""
    done = any(row.state is StepState.SUCCEEDED for row in _rows(run))
    if not done or any(model.digest is not None for model in models):
        return []
    return [f"{store.uri} holds none of the run's artifacts: say with --store where they lie"]


def _spec(run: SelfRewardRun) -> str:
    document = run.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for workload in document.get("workloads", {}).values():
        # A page is handed around, and people do put tokens there.
        for variable in workload.get("env", ()):
            variable.update({"value": "…"} if "value" in variable else {})
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
