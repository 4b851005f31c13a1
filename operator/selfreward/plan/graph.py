"""The graph of a run as data: the steps that a spec asks for, what each reads and what each commits.

Pure and total: every valid spec has a graph, and the same spec has the same one. This module must not know
about children or time, and of status only which steps are done. Which steps exist and what they read is
DESIGN.md's table (Yuan et al., arXiv 2401.10020, section 2.4, spread over workloads).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from selfreward_steps.contract import EftMode, JudgeModel, PromptGenerator, ReferenceModel, StepName

from selfreward.api import RunStatus, SelfRewardRunSpec, StepState
from selfreward.plan.types import ChildKind, Graph, Node

BASELINE = "sft-baseline"
JUDGE_MODEL = "judge-model"

_TRAINING = frozenset({StepName.SFT_BASELINE, StepName.SFT, StepName.DPO})


def build_graph(spec: SelfRewardRunSpec) -> Graph:
    """Every step of the run, each after what it needs; earlier ones have precedence for the GPUs."""
    builder = _Builder()
    _add_way_to_m1(builder, spec)
    _add_evaluation(builder, spec, 1)
    for iteration in range(1, spec.iterations + 1):
        _add_round(builder, spec, iteration)
        _add_evaluation(builder, spec, iteration + 1)
    return Graph(tuple(builder.nodes))


def model_artifact(spec: SelfRewardRunSpec, number: int) -> str:
    """The artifact of M_number. Without human data the base model is M1 itself, so both 0 and 1 are `m0`."""
    return "m0" if number == 1 and not _is_tuned(spec) else f"m{number}"


def has_seed(spec: SelfRewardRunSpec) -> bool:
    """Whether there is a `seed` artifact: human data, or the user's own prompts."""
    return _is_tuned(spec) or spec.prompts.source is not None


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
    first, *others = (("seed",) if has_seed(spec) else ()) + models
    builder.add(StepName.IMPORT, first, {}, also_commits=tuple(others))
    if not _is_tuned(spec):
        return
    if _is_filtered(spec):
        builder.add(StepName.SFT_BASELINE, BASELINE, {"model": "m0", "seed": "seed"})
        builder.add(StepName.EFT, "eft", {"seed": "seed", "model": BASELINE}, serving=BASELINE)
    elif _has_judge_data(spec):
        builder.add(StepName.EFT, "eft", {"seed": "seed"})
    builder.add(StepName.SFT, "m1", {"model": "m0", "seed": "seed", **_eft_input(spec)})


def _add_round(builder: _Builder, spec: SelfRewardRunSpec, iteration: int) -> None:
    """One self-reward round, M_t to M_{t+1}."""
    model, shards = model_artifact(spec, iteration), spec.serving.generation_shards
    folder = f"iteration-{iteration}"
    prompts, responses, judgements, pairs = (
        f"{folder}/{name}" for name in ("prompts", "responses", "judgements", "pairs")
    )
    generator, judge = _generator(spec, iteration), _judge(spec, iteration)
    earlier = {f"prompts-{number}": f"iteration-{number}/prompts" for number in range(1, iteration)}
    builder.add(
        StepName.PROMPTS,
        prompts,
        {**_seed_input(spec), **_model_input(generator), **earlier},
        iteration=iteration,
        # What `file` and `initial` read is there long before: an iteration starts with its model all the same.
        waits_for=(model,),
        serving=generator,
    )
    builder.add(
        StepName.RESPOND,
        responses,
        {"prompts": prompts, "model": model},
        iteration=iteration,
        shards=shards,
        serving=model,
    )
    builder.add(
        StepName.JUDGE,
        judgements,
        {"responses": responses, **_model_input(judge)},
        iteration=iteration,
        # Beside responding only on the same server, or on none of ours: servers of two models take turns, so a
        # judge that held its own while it waited for answers would wait for ever.
        beside=(builder.producers[responses],) if judge in (None, model) else (),
        shards=shards,
        serving=judge,
    )
    scored = {"prompts": prompts, "responses": responses, "judgements": judgements}
    builder.add(StepName.PAIRS, pairs, scored, iteration=iteration)
    builder.add(
        StepName.DPO,
        model_artifact(spec, iteration + 1),
        {"model": model, "reference": _reference(spec, iteration), "pairs": pairs},
        iteration=iteration,
    )


def _add_evaluation(builder: _Builder, spec: SelfRewardRunSpec, number: int) -> None:
    """What is measured of M_number; M1's is what later models are compared with. Part of the round that made it."""
    if not _is_evaluated(spec):
        return
    model = model_artifact(spec, number)
    against = {"against": "evaluation/m1"} if number > 1 else {}
    builder.add(
        StepName.EVALUATE,
        f"evaluation/m{number}",
        {**_eft_input(spec), **_seed_input(spec), "model": model, **against},
        iteration=number - 1,
        key=f"evaluate-m{number}",
        serving=model,
    )


def _is_tuned(spec: SelfRewardRunSpec) -> bool:
    """Whether M1 is fine-tuned on human data rather than the base model as it came."""
    return spec.seed_data.instructions is not None


def _has_judge_data(spec: SelfRewardRunSpec) -> bool:
    return spec.seed_data.rankings is not None or spec.seed_data.eft is not None


def _is_filtered(spec: SelfRewardRunSpec) -> bool:
    """Whether the SFT baseline judges the ranked answers to make EFT data (paper, section 2.1)."""
    return spec.eft.mode is EftMode.FILTERED and spec.seed_data.rankings is not None


def _is_evaluated(spec: SelfRewardRunSpec) -> bool:
    """Whether anything can be measured: the judge on ranked answers, or wins on held-out prompts."""
    has_test_set = spec.seed_data.rankings is not None and spec.eft.test_fraction > 0
    has_held_out_prompts = spec.evaluation.prompts > 0 and has_seed(spec)
    return spec.evaluation.enabled and (has_test_set or has_held_out_prompts)


def _seed_input(spec: SelfRewardRunSpec) -> dict[str, str]:
    return {"seed": "seed"} if has_seed(spec) else {}


def _eft_input(spec: SelfRewardRunSpec) -> dict[str, str]:
    return {"eft": "eft"} if _has_judge_data(spec) else {}


def _model_input(model: str | None) -> dict[str, str]:
    return {} if model is None else {"model": model}


def _generator(spec: SelfRewardRunSpec, iteration: int) -> str | None:
    match spec.prompts.generator:
        case PromptGenerator.SELF:
            return model_artifact(spec, iteration)
        case PromptGenerator.INITIAL:
            return model_artifact(spec, 1)
        case PromptGenerator.FILE:
            return None


def _judge(spec: SelfRewardRunSpec, iteration: int) -> str | None:
    match spec.judge.model:
        case JudgeModel.SELF:
            return model_artifact(spec, iteration)
        case JudgeModel.PREVIOUS:
            return model_artifact(spec, max(1, iteration - 1))
        case JudgeModel.INITIAL:
            return model_artifact(spec, 1)
        case JudgeModel.MODEL:
            return JUDGE_MODEL
        case JudgeModel.ENDPOINT:
            return None


def _reference(spec: SelfRewardRunSpec, iteration: int) -> str:
    """DPO's reference model."""
    match spec.training.dpo.reference_model:
        case ReferenceModel.PREVIOUS:
            return model_artifact(spec, iteration)
        case ReferenceModel.INITIAL:
            return model_artifact(spec, 1)
