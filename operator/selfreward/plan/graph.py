"""The graph of a run as data: the steps that a spec asks for, what each reads and what each commits.

Pure and total: every valid spec has a graph, and the same spec has the same one. This module must not know
about children or time, and of status only which steps are done. Which steps exist and what they read is
DESIGN.md's table (Yuan et al., arXiv 2401.10020, section 2.4, spread over workloads).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from selfreward_steps.contract import JudgeModel, PairHistory, StepName

from selfreward.api import RunStatus, SelfRewardRunSpec, StepState
from selfreward.plan.lineage import (
    EVALUATION_DATA,
    EVALUATION_JUDGE,
    EVALUATIONS,
    JUDGE_MODEL,
    comparing_judge_of,
    eft_input,
    generator_of,
    has_judge_data,
    has_own_prompts,
    has_seed,
    is_anchored,
    is_evaluated,
    is_filtered,
    is_tuned,
    judge_of,
    model_artifact,
    model_input,
    reference_of,
    seed_input,
    template_input,
)
from selfreward.plan.types import ChildKind, Graph, Node

BASELINE = "sft-baseline"
EVALUATION_IMPORT = "import-evaluation"

_TRAINING = frozenset({StepName.SFT_BASELINE, StepName.SFT, StepName.DPO})


def build_graph(spec: SelfRewardRunSpec) -> Graph:
    """Every step of the run, each after what it needs; earlier ones have precedence for the GPUs."""
    builder = _Builder()
    _add_way_to_m1(builder, spec)
    if is_evaluated(spec):
        _add_evaluation_import(builder, spec)
    _add_evaluation(builder, spec, 1)
    for iteration in range(1, spec.iterations + 1):
        _add_round(builder, spec, iteration)
        _add_evaluation(builder, spec, iteration + 1)
    return Graph(tuple(builder.nodes))


def artifacts_to_observe(graph: Graph, status: RunStatus) -> dict[str, int | None]:
    """The artifacts a walker must look up in the store before it asks for a decision, with their shards.

    Those of steps that have started or could start, and no others, so that the number of look-ups stays small
    however long the run: what a succeeded step committed stands in its row.
    """
    rows = {row.key: row for iteration in status.iterations for row in iteration.steps}
    done = {key for key, row in rows.items() if row.state is StepState.SUCCEEDED}
    begun = done | {key for key, row in rows.items() if row.attempt > 0}

    def may_start(node: Node) -> bool:
        return done.issuperset(node.after) and begun.issuperset(node.after_first_shard)

    return {
        artifact: node.shards
        for node in graph.nodes
        if node.key not in done and (node.key in begun or may_start(node))
        for artifact in node.outputs
    }


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
            key=key or (f"{step}-{iteration}" if iteration else str(step)),
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
    models = ("m0", JUDGE_MODEL) if spec.judge.model is JudgeModel.MODEL else ("m0",)
    template = template_input(spec)
    first, *others = (("seed",) if has_seed(spec) else ()) + models + tuple(template.values())
    builder.add(StepName.IMPORT, first, {}, also_commits=tuple(others))
    if not is_tuned(spec):
        return
    if is_filtered(spec):
        builder.add(StepName.SFT_BASELINE, BASELINE, {"model": "m0", "seed": "seed"})
        builder.add(StepName.EFT, "eft", {"seed": "seed", "model": BASELINE, **template}, serving=BASELINE)
    elif has_judge_data(spec):
        builder.add(StepName.EFT, "eft", {"seed": "seed", **template})
    judging = {**eft_input(spec), **template} if has_judge_data(spec) else {}
    builder.add(StepName.SFT, "m1", {"model": "m0", "seed": "seed", **judging})


def _add_round(builder: _Builder, spec: SelfRewardRunSpec, iteration: int) -> None:
    """One self-reward round, M_t to M_{t+1}."""
    model, folder = model_artifact(spec, iteration), f"iteration-{iteration}"
    prompts, pairs = f"{folder}/prompts", f"{folder}/pairs"
    generator = generator_of(spec, iteration)
    builder.add(
        StepName.PROMPTS,
        prompts,
        {**seed_input(spec), **model_input(generator), **_earlier("prompts", iteration)},
        iteration=iteration,
        # What `file` and `initial` read is there long before: an iteration starts with its model all the same.
        waits_for=(model,),
        serving=generator,
    )
    _add_judged(builder, spec, iteration, model, prompts=prompts, answers="responses", judgements="judgements")
    scored = {"prompts": prompts, **_roles(folder, "responses", "judgements")}
    if is_anchored(spec, iteration):
        first = model_artifact(spec, 1)
        _add_judged(builder, spec, iteration, first, prompts=prompts, answers="anchors", judgements="anchor-judgements")
        scored |= _roles(folder, "anchors", "anchor-judgements")
    builder.add(StepName.PAIRS, pairs, scored, iteration=iteration)
    builder.add(
        StepName.DPO,
        model_artifact(spec, iteration + 1),
        {
            "model": model,
            "reference": reference_of(spec, iteration),
            "pairs": pairs,
            **(_earlier("pairs", iteration) if spec.preferences.history is PairHistory.ALL else {}),
        },
        iteration=iteration,
    )


def _add_judged(
    builder: _Builder,
    spec: SelfRewardRunSpec,
    iteration: int,
    model: str,
    *,
    prompts: str,
    answers: str,
    judgements: str,
) -> None:
    """Answers of `model` to the prompts, and the iteration's judge on them: the candidates', and those of M1 that
    `preferences.rejected: anchored` asks for, which have keys of their own."""
    folder, shards, judge = f"iteration-{iteration}", spec.serving.generation_shards, judge_of(spec, iteration)
    extra = "" if answers == "responses" else "-anchor"
    builder.add(
        StepName.RESPOND,
        f"{folder}/{answers}",
        {"prompts": prompts, "model": model},
        iteration=iteration,
        key=f"{StepName.RESPOND}{extra}-{iteration}",
        shards=shards,
        serving=model,
    )
    builder.add(
        StepName.JUDGE,
        f"{folder}/{judgements}",
        {"responses": f"{folder}/{answers}", **model_input(judge), **template_input(spec)},
        iteration=iteration,
        key=f"{StepName.JUDGE}{extra}-{iteration}",
        # Beside responding only on the same server, or on none of ours: servers of two models take turns, so a
        # judge that held its own while it waited for answers would wait for ever.
        beside=(builder.producers[f"{folder}/{answers}"],) if judge in (None, model) else (),
        shards=shards,
        serving=judge,
    )


def _roles(folder: str, *names: str) -> dict[str, str]:
    """Inputs whose role is the artifact's own name."""
    return {name: f"{folder}/{name}" for name in names}


def _earlier(name: str, iteration: int) -> dict[str, str]:
    """The artifacts of that name of the iterations before, by role: `pairs-1`, `pairs-2`, …"""
    return {f"{name}-{number}": f"iteration-{number}/{name}" for number in range(1, iteration)}


def _add_evaluation_import(builder: _Builder, spec: SelfRewardRunSpec) -> None:
    """What the user brings to the evaluation. A step of its own, so that it may be added to a run under way."""
    outputs = [EVALUATION_DATA] if spec.evaluation.data.is_given else []
    if spec.evaluation.judge.model is JudgeModel.MODEL:
        outputs.append(EVALUATION_JUDGE)
    if outputs:
        first, *others = outputs
        builder.add(StepName.IMPORT, first, {}, key=EVALUATION_IMPORT, also_commits=tuple(others))


def _add_evaluation(builder: _Builder, spec: SelfRewardRunSpec, number: int) -> None:
    """What is measured of M_number; later models are compared with M1 and the one before. Part of the round that
    made it.

    One step where the model compares its own answers. Otherwise two, since each talks to one server: first what the
    model says as a judge and as an assistant, then the comparisons, by their judge.
    """
    if not is_evaluated(spec):
        return
    model, judge = model_artifact(spec, number), comparing_judge_of(spec, number)
    mine = spec.evaluation
    data = {"data": EVALUATION_DATA} if mine.data.is_given else {}
    held_out = {
        **eft_input(spec),
        **(seed_input(spec) if has_own_prompts(spec) else {}),
        **data,
        **template_input(spec),
    }
    others = {"against": f"{EVALUATIONS}m1"} if number > 1 else {}
    others |= {"previous": f"{EVALUATIONS}m{number - 1}"} if number > 2 else {}
    compares = bool(others) or mine.outside is not None or mine.safety_prompts is not None
    output, key, iteration = f"{EVALUATIONS}m{number}", f"{StepName.EVALUATE}-m{number}", number - 1
    inputs = {**held_out, "model": model, **others}
    if judge != model and compares:
        answers = f"answers/m{number}"
        builder.add(
            StepName.EVALUATE,
            answers,
            {**held_out, "model": model},
            iteration=iteration,
            key=f"answer-m{number}",
            serving=model,
        )
        inputs = {"measured": answers, **data, **model_input(judge), **others}
    builder.add(
        StepName.EVALUATE,
        output,
        inputs,
        iteration=iteration,
        key=key,
        serving=judge if "measured" in inputs else model,
    )
