"""The graph of a run as data: the steps that a spec asks for, what each reads and what each commits.

Pure and total: every valid spec has a graph, and the same spec has the same one. The steps are those of the paper
(Yuan et al., arXiv 2401.10020, section 2.4), spread over workloads. This module must not know about children, time or
status.
"""

from __future__ import annotations

from selfreward_steps.contract import JudgeModel, PairHistory, PairStrategy, StepName, artifact_names
from selfreward_steps.contract.artifact_names import IterationArtifact

from selfreward.api import SelfRewardRunSpec
from selfreward.plan.graph.builder import Builder, earlier
from selfreward.plan.graph.evaluations import (
    add_baseline_evaluation,
    add_evaluation,
    add_evaluation_import,
)
from selfreward.plan.graph.nodes import Graph
from selfreward.plan.graph.roles import (
    eft_input,
    generator_of,
    has_judge_data,
    is_anchored,
    is_baseline_evaluated,
    is_evaluated,
    is_filtered,
    is_tuned,
    judge_of,
    model_artifact,
    model_input,
    reference_of,
    seed_input,
    selection_of,
    template_input,
)


def build_graph(spec: SelfRewardRunSpec) -> Graph:
    """Every step of the run, each after what it needs; earlier ones have precedence for the GPUs."""
    builder = Builder()
    _add_way_to_m1(builder, spec)
    if is_evaluated(spec):
        add_evaluation_import(builder, spec)
    if is_baseline_evaluated(spec):
        add_baseline_evaluation(builder, spec)
    add_evaluation(builder, spec, 1)
    _add_publishing(builder, spec, 1)
    for iteration in range(1, spec.iterations + 1):
        _add_round(builder, spec, iteration)
        add_evaluation(builder, spec, iteration + 1)
        _add_publishing(builder, spec, iteration + 1)
    return Graph(tuple(builder.nodes))


def _add_way_to_m1(builder: Builder, spec: SelfRewardRunSpec) -> None:
    seed, template = seed_input(spec), template_input(spec)
    models = [artifact_names.BASE_MODEL]
    if spec.judge.model is JudgeModel.MODEL:
        models.append(artifact_names.JUDGE_MODEL)
    first, *others = (*seed.values(), *models, *template.values())
    builder.add(StepName.IMPORT, first, {}, also_commits=tuple(others))
    if not is_tuned(spec):
        return
    if is_filtered(spec):
        baseline = artifact_names.SFT_BASELINE
        builder.add(StepName.SFT_BASELINE, baseline, {**model_input(artifact_names.BASE_MODEL), **seed})
        builder.add(StepName.EFT, artifact_names.EFT, {**seed, **model_input(baseline), **template}, serving=baseline)
    elif has_judge_data(spec):
        builder.add(StepName.EFT, artifact_names.EFT, {**seed, **template})
    builder.add(StepName.SFT, artifact_names.model(1), _sft_inputs(spec))


def _add_round(builder: Builder, spec: SelfRewardRunSpec, iteration: int) -> None:
    """One self-reward round, M_t to M_{t+1}."""
    model = model_artifact(spec, iteration)
    prompts = artifact_names.of_iteration(iteration, IterationArtifact.PROMPTS)
    pairs = artifact_names.of_iteration(iteration, IterationArtifact.PAIRS)
    generator = generator_of(spec, iteration)
    builder.add(
        StepName.PROMPTS,
        prompts,
        {**seed_input(spec), **model_input(generator), **earlier(IterationArtifact.PROMPTS, iteration)},
        iteration=iteration,
        also_commits=(_of(iteration, IterationArtifact.VALIDATION),) if selection_of(spec) is not None else (),
        # What `file` and `initial` read is there long before: an iteration starts with its model all the same.
        waits_for=(model,),
        serving=generator,
    )
    _add_judged(builder, spec, iteration, model, _CANDIDATES)
    scored = _roles(iteration, IterationArtifact.PROMPTS, *_CANDIDATES)
    if is_anchored(spec, iteration):
        _add_judged(builder, spec, iteration, model_artifact(spec, 1), _ANCHORS)
        scored |= _roles(iteration, *_ANCHORS)
    builder.add(StepName.PAIRS, pairs, scored, iteration=iteration)
    learnt = {"pairs": pairs}
    if spec.preferences.history is PairHistory.ALL:
        learnt |= earlier(IterationArtifact.PAIRS, iteration)
    if spec.preferences.strategy is PairStrategy.POSITIVE_ONLY:
        step, start = StepName.SFT, _sft_inputs(spec)
    else:
        step, start = StepName.DPO, {**model_input(model), "reference": reference_of(spec, iteration)}
    *before, last = _checkpoints(spec, iteration)
    builder.add(step, last, {**start, **learnt}, iteration=iteration, also_commits=tuple(before))
    if before:
        _add_selection(builder, spec, iteration)


def _checkpoints(spec: SelfRewardRunSpec, iteration: int) -> list[str]:
    """The models that the round's training commits: its end alone, unless the round's model is chosen."""
    selection = selection_of(spec)
    if selection is None:
        return [model_artifact(spec, iteration + 1)]
    return [artifact_names.checkpoint(iteration + 1, number) for number in range(1, selection.checkpoints + 1)]


def _add_selection(builder: Builder, spec: SelfRewardRunSpec, iteration: int) -> None:
    """Each checkpoint's answers to the validation prompts, on its own server, and the choice by the round's judge."""
    candidates: dict[str, str] = {}
    for number, checkpoint in enumerate(_checkpoints(spec, iteration), 1):
        answers = artifact_names.checkpoint_answers(iteration + 1, number)
        builder.add(
            StepName.RESPOND,
            answers,
            {"prompts": _of(iteration, IterationArtifact.VALIDATION), **model_input(checkpoint)},
            iteration=iteration,
            key=f"{StepName.RESPOND}-{checkpoint}",
            serving=checkpoint,
        )
        candidates |= {f"checkpoint-{number}": checkpoint, f"answers-{number}": answers}
    judge = judge_of(spec, iteration)
    builder.add(
        StepName.SELECT,
        model_artifact(spec, iteration + 1),
        {**candidates, **model_input(judge)},
        iteration=iteration,
        serving=judge,
    )


def _add_publishing(builder: Builder, spec: SelfRewardRunSpec, number: int) -> None:
    """The push of M_number and the pairs that it learnt from, once its evaluation has said what it is worth. A base
    model that is M1 itself is nobody's to push."""
    if spec.publish is None:
        return
    iteration = number - 1
    made = {"model": model_artifact(spec, number)} if spec.publish.models and (iteration or is_tuned(spec)) else {}
    learnt = {"pairs": _of(iteration, IterationArtifact.PAIRS)} if spec.publish.pairs and iteration else {}
    if made or learnt:
        builder.add(
            StepName.PUBLISH,
            artifact_names.published(number),
            {**made, **learnt},
            iteration=iteration,
            key=f"{StepName.PUBLISH}-{artifact_names.model(number)}",
            waits_for=(model_artifact(spec, number), *_evaluated(spec, number)),
        )


def _evaluated(spec: SelfRewardRunSpec, number: int) -> tuple[str, ...]:
    return (artifact_names.evaluation(number),) if is_evaluated(spec) else ()


def _sft_inputs(spec: SelfRewardRunSpec) -> dict[str, str]:
    """What supervised fine-tuning starts from: the base model, the seed data, and judging examples if there are any."""
    judging = {**eft_input(spec), **template_input(spec)} if has_judge_data(spec) else {}
    seed = seed_input(spec) if is_tuned(spec) else {}
    return {**model_input(artifact_names.BASE_MODEL), **seed, **judging}


_CANDIDATES = (IterationArtifact.RESPONSES, IterationArtifact.JUDGEMENTS)
_ANCHORS = (IterationArtifact.ANCHORS, IterationArtifact.ANCHOR_JUDGEMENTS)


def _add_judged(
    builder: Builder,
    spec: SelfRewardRunSpec,
    iteration: int,
    model: str,
    commits: tuple[IterationArtifact, IterationArtifact],
) -> None:
    """Answers of `model` to the iteration's prompts, and its judge on them: the candidates', and those of M1 that
    `preferences.rejected: anchored` asks for, which have keys of their own."""
    shards, judge = spec.serving.generation_shards, judge_of(spec, iteration)
    answers, judgements = (artifact_names.of_iteration(iteration, each) for each in commits)
    extra = "-anchor" if commits == _ANCHORS else ""
    builder.add(
        StepName.RESPOND,
        answers,
        {**_roles(iteration, IterationArtifact.PROMPTS), **model_input(model)},
        iteration=iteration,
        key=f"{StepName.RESPOND}{extra}-{iteration}",
        shards=shards,
        serving=model,
    )
    builder.add(
        StepName.JUDGE,
        judgements,
        {"responses": answers, **model_input(judge), **template_input(spec)},
        iteration=iteration,
        key=f"{StepName.JUDGE}{extra}-{iteration}",
        # Beside responding only on the same server, or on none of ours: servers of two models take turns, so a
        # judge that held its own while it waited for answers would wait for ever.
        beside=(builder.producers[answers],) if judge in (None, model) else (),
        shards=shards,
        serving=judge,
    )


def _of(iteration: int, kind: IterationArtifact) -> str:
    return artifact_names.of_iteration(iteration, kind)


def _roles(iteration: int, *kinds: IterationArtifact) -> dict[str, str]:
    """Inputs whose role is the artifact's own name."""
    return {str(kind): artifact_names.of_iteration(iteration, kind) for kind in kinds}
