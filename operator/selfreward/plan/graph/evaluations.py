"""The evaluations in a graph: what is measured of each model, on whose server, and whom it is compared with."""

from __future__ import annotations

from selfreward_steps.contract import JudgeModel, StepName, artifact_names
from selfreward_steps.contract.artifact_names import IterationArtifact

from selfreward.api import SelfRewardRunSpec
from selfreward.plan.graph.builder import Builder, earlier
from selfreward.plan.graph.nodes import BASELINE_EVALUATION_KEY, evaluation_key
from selfreward.plan.graph.roles import (
    comparing_judge_of,
    eft_input,
    has_judge_data,
    has_own_prompts,
    has_seed,
    is_baseline_evaluated,
    is_evaluated,
    is_read,
    model_artifact,
    model_input,
    seed_input,
    template_input,
)

EVALUATION_IMPORT = "import-evaluation"


def add_evaluation_import(builder: Builder, spec: SelfRewardRunSpec) -> None:
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
        seen |= earlier(IterationArtifact.PROMPTS, number)
    return {
        **eft_input(spec),
        **(seed_input(spec) if has_own_prompts(spec) else {}),
        **({"data": artifact_names.EVALUATION_DATA} if is_given else {}),
        **seen,
        **template_input(spec),
    }


def add_baseline_evaluation(builder: Builder, spec: SelfRewardRunSpec) -> None:
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


def add_evaluation(builder: Builder, spec: SelfRewardRunSpec, number: int) -> None:
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
