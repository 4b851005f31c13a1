"""The highlights of a step: the few of its numbers that a reader wants first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from selfreward_steps.contract import StepName

from selfreward.report.grounds import sign_test
from selfreward.report.words import number

_TRAINED: Final = (
    "loss {loss_first} → {loss}",
    "{steps} steps",
    "{examples} examples",
)
_SERVED: Final = (
    "{tokens_per_second} tokens/s",
    "{concurrency_measured} of {concurrency_configured} requests in flight",
)
_OPPONENTS: Final = {
    "head_to_head": "M1",
    "head_to_head_previous": "the model before",
    "head_to_head_outside": "outside answers",
    "head_to_head_baseline": "the SFT baseline",
}
_MET: Final = "against {who}: {{{part}_win:%}} won, {{{part}_tie:%}} tied, {{{part}_loss:%}} lost ({{{part}_grounds}})"
_PHRASES: Final[Mapping[StepName, tuple[str, ...]]] = {
    StepName.IMPORT: (
        "{instructions} instructions",
        "{rankings} ranked prompts",
        "{eft} EFT examples",
        "{rankings_too_long} ranked answers too long to judge",
        "{prompts_too_long} prompts too long to answer",
    ),
    StepName.SFT_BASELINE: (*_TRAINED, "token accuracy {token_accuracy}"),
    StepName.SFT: (*_TRAINED, "token accuracy {token_accuracy}"),
    StepName.EFT: (
        "{examples} examples",
        "{parsed} of {judgements} judgements parsed",
        "{refused} answers refused",
        "{test_prompts} prompts to test the judge",
    ),
    StepName.PROMPTS: ("{prompts} prompts", "{acceptance_rate:%} of {attempts} accepted", "{refused} requests refused"),
    StepName.RESPOND: (
        "{prompts} prompts",
        "{refused} refused",
        "{truncated} of {candidates} answers cut off",
        "{completion_tokens} tokens",
        *_SERVED,
    ),
    StepName.JUDGE: (
        "{candidates} candidates",
        "{refused} refused",
        "{parse_rate:%} parsed",
        "{position_bias:%} by position alone",
        "{judgement_pairs} pairs of judgements from {disputes} disputes",
        *_SERVED,
    ),
    StepName.PAIRS: (
        "{pairs} pairs",
        "{judgement_pairs} pairs of judgements",
        "{ties} ties",
        "{refused} refused",
        "{flipped} by position alone",
        "{candidates_truncated} of {candidates} answers cut off",
        "mean score {mean_score}",
        "margin {mean_margin}",
        "{chosen_chars} and {rejected_chars} characters",
    ),
    StepName.DPO: (
        *_TRAINED,
        "τ of {consistency} between the judge and the implicit reward",
        "{inconsistent_pairs} inconsistent pairs left out",
        "reward accuracy {reward_accuracy:%}",
        "margin {reward_margin}",
        "{held_out_reward_accuracy:%} and {held_out_reward_margin} on held-out pairs",
    ),
    StepName.SELECT: (
        "checkpoint {selected} of {checkpoints}",
        "{wins} comparisons won and {losses} lost against the others",
        "{refused} requests refused",
        "reward accuracy {reward_accuracy:%}",
        "margin {reward_margin}",
    ),
    StepName.EVALUATE: (
        "judge right in {judge_pairwise_accuracy:%} of pairs ({judge_prompts} prompts)",
        "{judge_position_bias:%} by position alone",
        "drift of {judge_drift} from the judge before",
        "{judge_parse_rate:%} parsed",
        "{refused} requests refused",
        *(_MET.format(who=who, part=part) for part, who in _OPPONENTS.items()),
        "{safety_unsafe_share:%} of {safety_prompts} unsafe",
        "{answers_mean_chars} characters an answer",
        "{answers_truncated} of {answers_prompts} answers cut off",
        "{seen_prompts} left out that training has seen",
    ),
    StepName.PUBLISH: ("{model_files} files of the model pushed", "{pairs_files} files of pairs pushed"),
}

_TASK: Final = "lm_eval/"
_MOST_TASKS: Final = 4


@dataclass(frozen=True, slots=True)
class _Number:
    """A number in a phrase: `{x}` in three digits, `{x:%}` in percent."""

    value: float

    def __format__(self, spec: str) -> str:
        if spec == "%":
            return f"{self.value:.0%}"
        return number(self.value if abs(self.value) >= 1000 else float(f"{self.value:.3g}"))


def highlights(step: StepName, metrics: Mapping[str, float]) -> str:
    """One line; a phrase of which a number is missing is left out."""
    shown: dict[str, _Number | str] = {name: _Number(value) for name, value in metrics.items()}
    for part in _OPPONENTS:
        shown[f"{part}_grounds"] = sign_test(metrics.get(f"{part}_prompts"), metrics.get(f"{part}_p_value"))
    found = []
    for phrase in _PHRASES[step]:
        try:
            found.append(phrase.format_map(shown))
        except KeyError:
            continue
    tasks = [name for name in metrics if name.startswith(_TASK)]
    found += [f"{name.removeprefix(_TASK)} {shown[name]}" for name in tasks[:_MOST_TASKS]]
    if len(tasks) > _MOST_TASKS:
        found.append(f"{len(tasks) - _MOST_TASKS} more of lm-eval")
    return ", ".join(found)
