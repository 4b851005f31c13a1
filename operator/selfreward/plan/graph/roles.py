"""Roles of artifacts in a run: whose weights write, judge, are trained on and compared with.

Pure questions to a spec, so that the graph's builder reads as a list of steps. This module must not know steps.
"""

from __future__ import annotations

from selfreward_steps.contract import (
    CheckpointSelection,
    EftMode,
    JudgeModel,
    PromptGenerator,
    ReferenceModel,
    RejectedSource,
    artifact_names,
)

from selfreward.api import SelfRewardRunSpec


def model_artifact(spec: SelfRewardRunSpec, number: int) -> str:
    """The artifact of M_number. Without human data the base model is M1 itself, so both 0 and 1 are `m0`."""
    return artifact_names.BASE_MODEL if number == 1 and not is_tuned(spec) else artifact_names.model(number)


def has_seed(spec: SelfRewardRunSpec) -> bool:
    """Whether there is a `seed` artifact: human data, or the user's own prompts."""
    return is_tuned(spec) or spec.prompts.source is not None


def is_tuned(spec: SelfRewardRunSpec) -> bool:
    """Whether M1 is fine-tuned on human data rather than the base model as it came."""
    return spec.seed_data.instructions is not None


def has_judge_data(spec: SelfRewardRunSpec) -> bool:
    """Whether there are ranked answers or ready judgements."""
    return spec.seed_data.rankings is not None or spec.seed_data.eft is not None


def is_filtered(spec: SelfRewardRunSpec) -> bool:
    """Whether the SFT baseline judges the ranked answers to make EFT data (paper, section 2.1)."""
    return spec.eft.mode is EftMode.FILTERED and spec.seed_data.rankings is not None


def is_evaluated(spec: SelfRewardRunSpec) -> bool:
    """Whether anything can be measured: the judge on ranked answers, answers to prompts that nobody trains on, or
    tasks of lm-eval."""
    is_given = spec.evaluation.data.is_given or spec.evaluation.lm_eval is not None
    return spec.evaluation.enabled and (_has_held_out(spec) or is_given)


def is_baseline_evaluated(spec: SelfRewardRunSpec) -> bool:
    """Whether M1 is compared with the SFT baseline (paper, table 4), where one was trained to judge the ranked
    answers."""
    has_questions = _has_held_out(spec) or spec.evaluation.source is not None
    return is_tuned(spec) and is_filtered(spec) and spec.evaluation.enabled and has_questions


def _has_held_out(spec: SelfRewardRunSpec) -> bool:
    """Whether the run's own data hold ranked answers or prompts that nobody trains on."""
    has_test_set = spec.seed_data.rankings is not None and spec.eft.test_fraction > 0
    return has_test_set or (spec.evaluation.prompts > 0 and has_own_prompts(spec))


def has_own_prompts(spec: SelfRewardRunSpec) -> bool:
    """Whether the user's prompts can be held out: iterations that read prompts from a file train on them."""
    return spec.prompts.source is not None and not is_read(spec)


def is_read(spec: SelfRewardRunSpec) -> bool:
    """Whether iterations read their prompts from a file, rather than have a model write them."""
    return spec.prompts.generator is PromptGenerator.FILE


def seed_input(spec: SelfRewardRunSpec) -> dict[str, str]:
    """The user's data by role, when there are any."""
    return {"seed": artifact_names.SEED} if has_seed(spec) else {}


def eft_input(spec: SelfRewardRunSpec) -> dict[str, str]:
    """Judging data by role, when there are any."""
    return {"eft": artifact_names.EFT} if has_judge_data(spec) else {}


def template_input(spec: SelfRewardRunSpec) -> dict[str, str]:
    """The judge's template by role, when its text is not in the spec."""
    return {"template": artifact_names.JUDGE_TEMPLATE} if spec.judge.imported_template is not None else {}


def model_input(model: str | None) -> dict[str, str]:
    """A model by role, when one is needed."""
    return {} if model is None else {"model": model}


def selection_of(spec: SelfRewardRunSpec) -> CheckpointSelection | None:
    """How a round's model is chosen among checkpoints; None where it is the end of its training."""
    return spec.training.dpo.selection


def generator_of(spec: SelfRewardRunSpec, iteration: int) -> str | None:
    """Who writes the iteration's prompts; None when they are read."""
    match spec.prompts.generator:
        case PromptGenerator.SELF:
            return model_artifact(spec, iteration)
        case PromptGenerator.INITIAL:
            return model_artifact(spec, 1)
        case PromptGenerator.FILE:
            return None


def judge_of(spec: SelfRewardRunSpec, iteration: int) -> str | None:
    """Who judges the iteration's candidates; None for an outside endpoint."""
    return _judge(spec, spec.judge.model, iteration, artifact_names.JUDGE_MODEL)


def comparing_judge_of(spec: SelfRewardRunSpec, number: int) -> str | None:
    """Who compares the answers of M_number with others'; None for an outside endpoint."""
    return _judge(spec, spec.evaluation.judge.model, number, artifact_names.EVALUATION_JUDGE)


def _judge(spec: SelfRewardRunSpec, model: JudgeModel, number: int, other: str) -> str | None:
    """The artifact that judges beside M_number; `other` is the one that the user brought."""
    match model:
        case JudgeModel.SELF:
            return model_artifact(spec, number)
        case JudgeModel.PREVIOUS:
            return model_artifact(spec, max(1, number - 1))
        case JudgeModel.INITIAL:
            return model_artifact(spec, 1)
        case JudgeModel.MODEL:
            return other
        case JudgeModel.ENDPOINT:
            return None


def reference_of(spec: SelfRewardRunSpec, iteration: int) -> str:
    """The model that DPO keeps the new one close to."""
    match spec.training.dpo.reference_model:
        case ReferenceModel.PREVIOUS:
            return model_artifact(spec, iteration)
        case ReferenceModel.INITIAL:
            return model_artifact(spec, 1)


def is_anchored(spec: SelfRewardRunSpec, iteration: int) -> bool:
    """Whether M1 answers the iteration's prompts too. In the first one the candidates are M1's own."""
    return iteration > 1 and spec.preferences.rejected is RejectedSource.ANCHORED
