"""The graph of a run as data: the steps that a spec asks for, what each reads and what each commits.

Pure and total: every valid spec has a graph, and the same spec has the same one. The steps are those of the paper
(Yuan et al., arXiv 2401.10020, section 2.4), spread over workloads. This module must not know about children, time or
status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from selfreward_steps.contract import JudgeModel, PairHistory, PairStrategy, StepName, artifact_names
from selfreward_steps.contract.artifact_names import IterationArtifact

from selfreward.api import SelfRewardRunSpec
from selfreward.plan.graph.nodes import BASELINE_EVALUATION_KEY, ChildKind, Graph, Node, evaluation_key, step_key
from selfreward.plan.graph.roles import (
    comparing_judge_of,
    eft_input,
    generator_of,
    has_judge_data,
    has_own_prompts,
    has_seed,
    is_anchored,
    is_baseline_evaluated,
    is_evaluated,
    is_filtered,
    is_read,
    is_tuned,
    judge_of,
    model_artifact,
    model_input,
    reference_of,
    seed_input,
    selection_of,
    template_input,
)

EVALUATION_IMPORT = "import-evaluation"

_TRAINING = frozenset({StepName.SFT_BASELINE, StepName.SFT, StepName.DPO})


def build_graph(spec: SelfRewardRunSpec) -> Graph:
    """Every step of the run, each after what it needs; earlier ones have precedence for the GPUs."""
    builder = _Builder()
    _add_way_to_m1(builder, spec)
    if is_evaluated(spec):
        _add_evaluation_import(builder, spec)
    if is_baseline_evaluated(spec):
        _add_baseline_evaluation(builder, spec)
    _add_evaluation(builder, spec, 1)
    for iteration in range(1, spec.iterations + 1):
        _add_round(builder, spec, iteration)
        _add_evaluation(builder, spec, iteration + 1)
    return Graph(tuple(builder.nodes))


@dataclass(slots=True)
class _Builder:
    """Collects nodes; finds what each must wait for from the artifacts it reads."""

    nodes: list[Node] = field(default_factory=list)
    producers: dict[str, str] = field(default_factory=dict)
    """Key of the step that commits an artifact."""

    def add(
        self,
        step: StepName,
        output: str,
        inputs: Mapping[str, str],
        *,
        iteration: int = 0,
        key: str = "",
        also_commits: tuple[str, ...] = (),
        waits_for: Iterable[str] = (),
        beside: tuple[str, ...] = (),
        shards: int | None = None,
        serving: str | None = None,
    ) -> None:
        """Append a step. `waits_for`: artifacts it needs but does not read."""
        needed = (self.producers[artifact] for artifact in (*inputs.values(), *waits_for))
        node = Node(
            key=key or step_key(step, iteration),
            step=step,
            iteration=iteration,
            kind=_kind(step, shards),
            after=tuple(other for other in dict.fromkeys(needed) if other not in beside),
            after_first_shard=beside,
            inputs=inputs,
            output=output,
            also_commits=also_commits,
            shards=shards,
            serving=serving,
        )
        self.nodes.append(node)
        self.producers.update(dict.fromkeys(node.outputs, node.key))


def _kind(step: StepName, shards: int | None) -> ChildKind:
    if step in _TRAINING:
        return ChildKind.TRAINING
    return ChildKind.JOB if shards is None else ChildKind.INDEXED_JOB


def _add_way_to_m1(builder: _Builder, spec: SelfRewardRunSpec) -> None:
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


def _add_round(builder: _Builder, spec: SelfRewardRunSpec, iteration: int) -> None:
    """One self-reward round, M_t to M_{t+1}."""
    model = model_artifact(spec, iteration)
    prompts = artifact_names.of_iteration(iteration, IterationArtifact.PROMPTS)
    pairs = artifact_names.of_iteration(iteration, IterationArtifact.PAIRS)
    generator = generator_of(spec, iteration)
    builder.add(
        StepName.PROMPTS,
        prompts,
        {**seed_input(spec), **model_input(generator), **_earlier(IterationArtifact.PROMPTS, iteration)},
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
        learnt |= _earlier(IterationArtifact.PAIRS, iteration)
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


def _add_selection(builder: _Builder, spec: SelfRewardRunSpec, iteration: int) -> None:
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


def _sft_inputs(spec: SelfRewardRunSpec) -> dict[str, str]:
    """What supervised fine-tuning starts from: the base model, the seed data, and judging examples if there are any."""
    judging = {**eft_input(spec), **template_input(spec)} if has_judge_data(spec) else {}
    seed = seed_input(spec) if is_tuned(spec) else {}
    return {**model_input(artifact_names.BASE_MODEL), **seed, **judging}


_CANDIDATES = (IterationArtifact.RESPONSES, IterationArtifact.JUDGEMENTS)
_ANCHORS = (IterationArtifact.ANCHORS, IterationArtifact.ANCHOR_JUDGEMENTS)


def _add_judged(
    builder: _Builder,
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


def _earlier(kind: IterationArtifact, iteration: int) -> dict[str, str]:
    """The artifacts of that kind of the iterations before, by role: `pairs-1`, `pairs-2`, …"""
    return {f"{kind}-{number}": artifact_names.of_iteration(number, kind) for number in range(1, iteration)}


def _add_evaluation_import(builder: _Builder, spec: SelfRewardRunSpec) -> None:
    """What the user brings to the evaluation. A step of its own, so that it may be added to a run under way."""
    outputs = [artifact_names.EVALUATION_DATA] if spec.evaluation.data.is_given else []
    if spec.evaluation.judge.model is JudgeModel.MODEL:
        outputs.append(artifact_names.EVALUATION_JUDGE)
    if outputs:
        first, *others = outputs
        builder.add(StepName.IMPORT, first, {}, key=EVALUATION_IMPORT, also_commits=tuple(others))


def _held_out(spec: SelfRewardRunSpec, number: int) -> dict[str, str]:
    """What M_number is asked, by role, and what it has seen, which it is not asked. What is held out of the run's own
    data differs from what models learn, but for prompts that rounds read from a file."""
    is_given = spec.evaluation.data.is_given
    seen = {"seen": artifact_names.SEED} if is_given and has_seed(spec) else {}
    if is_given or (is_read(spec) and has_judge_data(spec)):
        seen |= _earlier(IterationArtifact.PROMPTS, number)
    return {
        **eft_input(spec),
        **(seed_input(spec) if has_own_prompts(spec) else {}),
        **({"data": artifact_names.EVALUATION_DATA} if is_given else {}),
        **seen,
        **template_input(spec),
    }


def _add_baseline_evaluation(builder: _Builder, spec: SelfRewardRunSpec) -> None:
    """What is measured of the SFT baseline, on the server that it judged ranked answers on. M1 does not wait for it."""
    builder.add(
        StepName.EVALUATE,
        artifact_names.BASELINE_EVALUATION,
        {**_held_out(spec, 1), **model_input(artifact_names.SFT_BASELINE)},
        key=BASELINE_EVALUATION_KEY,
        serving=artifact_names.SFT_BASELINE,
    )


def _opponents(spec: SelfRewardRunSpec, number: int) -> dict[str, str]:
    """The evaluations whose answers those of M_number are compared with, by role."""
    if number == 1:
        return {"baseline": artifact_names.BASELINE_EVALUATION} if is_baseline_evaluated(spec) else {}
    before = {"previous": artifact_names.evaluation(number - 1)} if number > 2 else {}
    return {"against": artifact_names.evaluation(1), **before}


def _add_evaluation(builder: _Builder, spec: SelfRewardRunSpec, number: int) -> None:
    """What is measured of M_number; M1 is compared with the SFT baseline, later models with M1 and the one before.
    Part of the round that made it.

    One step where the model compares its own answers. Otherwise two, since each talks to one server: first what the
    model says as a judge and as an assistant, then the comparisons, by their judge.
    """
    if not is_evaluated(spec):
        return
    model, judge = model_artifact(spec, number), comparing_judge_of(spec, number)
    mine = spec.evaluation
    held_out, others = _held_out(spec, number), _opponents(spec, number)
    compares = bool(others) or mine.outside is not None or mine.safety_prompts is not None
    iteration = number - 1
    inputs = {**held_out, "model": model, **others}
    if judge != model and compares:
        answers = artifact_names.answers(number)
        builder.add(
            StepName.EVALUATE,
            answers,
            {**held_out, "model": model},
            iteration=iteration,
            key=f"answer-{artifact_names.model(number)}",
            serving=model,
        )
        data = {role: artifact for role, artifact in held_out.items() if role == "data"}
        inputs = {"measured": answers, **data, **model_input(judge), **others}
    builder.add(
        StepName.EVALUATE,
        artifact_names.evaluation(number),
        inputs,
        iteration=iteration,
        key=evaluation_key(number),
        serving=judge if "measured" in inputs else model,
    )
