"""The checks behind the gates: what each looks at in a step's numbers, and what it says where they trip it. Pure.

This module must not know of the walk: which rows there are, and what a tripped gate does, is
:mod:`selfreward.plan.gates`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from selfreward_steps.contract import JudgeMode, StepName

from selfreward.api import Gates, StepStatus

_BY_TOKEN: Final = (
    "a judge learns to say the number alone from evaluation data, a judge.customTemplate should end with a request for "
    "it, and judge.mode: cot reads critiques"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers of one step, with the row that holds them and the row to compare it with."""

    row: StepStatus
    first: StepStatus | None
    """The same step's row of M1, to compare with; the row itself when it is M1's."""
    mode: JudgeMode
    """How the judge's judgements become scores."""

    def number(self, name: str) -> float | None:
        return self.row.metrics.get(name)

    def ratio(self, name: str, to: str) -> float | None:
        """One number of the step over another; None where either is missing, or the other is 0."""
        value, whole = self.number(name), self.number(to)
        return value / whole if value is not None and whole else None

    def growth(self, name: str) -> float | None:
        """A number beside M1's, as their ratio; None where it is M1's."""
        if self.first is None or self.first.key == self.row.key:
            return None
        now, then = self.number(name), self.first.metrics.get(name)
        return now / then if now is not None and then else None

    def by_mode(self, *, cot: str, logprob: str, pairwise: str) -> str:
        """What to do, by how the judge is read: nobody is told to set what is set, or what has no effect."""
        return {JudgeMode.COT: cot, JudgeMode.LOGPROB: logprob, JudgeMode.PAIRWISE: pairwise}[self.mode]


@dataclass(frozen=True, slots=True)
class Check:
    """One gate's look at a step: the number that its limit is for, and what is wrong with it."""

    value: Callable[[Measured], float | None]
    """None where it was not measured."""
    wrong: Callable[[Measured, Gates], str | None]
    """None where nothing is."""


def _parse_rate(measured: Measured, gates: Gates) -> str | None:
    rate, least = measured.number("parse_rate"), gates.parse_rate.minimum
    if rate is None or rate >= least:
        return None
    return (
        f"only {rate:.0%} of the judgements state a score (gates.parseRate.minimum {least:.0%}): "
        + measured.by_mode(
            cot="look at the critiques, and raise judge.sampling.maxTokens if they are cut off; a judge learns the "
            "format from evaluation data, and judge.mode: logprob needs none",
            logprob=f"the others begin with something else; {_BY_TOKEN}",
            pairwise="look at the critiques, and raise judge.sampling.maxTokens if they are cut off; a judge learns "
            "verdicts from ranked answers (seedData.rankings)",
        )
    )


def _score_mass(measured: Measured, gates: Gates) -> str | None:
    mass, least = measured.number("mean_score_mass"), gates.score_mass.minimum
    if mass is None or mass >= least:
        return None
    return (
        f"the judge gives scores {mass:.0%} of the probability (gates.scoreMass.minimum {least:.0%}): the rest goes to "
        f"answers that begin with something else, so its scores say less than they seem to; {_BY_TOKEN}"
    )


def _pairs_share(measured: Measured) -> float | None:
    return measured.ratio("pairs", "prompts")


def _pairs(measured: Measured, gates: Gates) -> str | None:
    share, least = _pairs_share(measured), gates.pairs.minimum
    if share is None or share >= least:
        return None
    pairs, prompts = measured.number("pairs") or 0, measured.number("prompts") or 0
    ties, cut = measured.number("ties") or 0, measured.number("prompts_truncated") or 0
    advice = measured.by_mode(
        cot="raise judge.samples or responses.perPrompt, or set judge.mode: logprob",
        logprob="raise responses.perPrompt or responses.sampling.temperature",
        pairwise="raise responses.perPrompt or responses.sampling.temperature, or read position_bias: what the order "
        "decides is no pair",
    )
    if cut > ties:
        advice = "raise responses.sampling.maxTokens, or set preferences.truncated: keep"
    return (
        f"only {pairs:.0f} of {prompts:.0f} prompts give a preference pair ({share:.0%}, gates.pairs.minimum "
        f"{least:.0%}): {ties:.0f} are tied and {cut:.0f} have too few answers that end, so there is little to learn "
        f"from; {advice}"
    )


def _score_share(measured: Measured, gates: Gates) -> str | None:
    share, most = measured.number("common_score_share"), gates.score_share.maximum
    if share is None or share <= most:
        return None
    common = measured.number("common_score")
    return (
        f"{share:.0%} of the scores are {common if common is not None else 0:g} (gates.scoreShare.maximum {most:.0%}): "
        "the judge hardly tells answers apart; train it on evaluation data with balanced scores, "
        + measured.by_mode(
            cot="use judge.mode: logprob, or another judge.template",
            logprob="or use another judge.template",
            pairwise="or set judge.mode: cot",
        )
    )


def _length_growth(name: str, what: str) -> Check:
    def wrong(measured: Measured, gates: Gates) -> str | None:
        growth, most = measured.growth(name), gates.length_growth.maximum
        if growth is None or growth <= most:
            return None
        now = measured.number(name) or 0
        return (
            f"{what} have {now:.0f} characters on average, {growth:.1f} times the {now / growth:.0f} of M1 "
            f"(gates.lengthGrowth.maximum {most:g}): the judge may reward length; set preferences.lengthControl"
        )

    return Check(lambda measured: measured.growth(name), wrong)


_ACCURACY: Final = "judge_pairwise_accuracy"
_LONGEST_WINS: Final = "judge_pairwise_accuracy_longest_wins"


def _lead(measured: Measured) -> float | None:
    """How far the judge is ahead of preferring the longer answer."""
    accuracy, baseline = measured.number(_ACCURACY), measured.number(_LONGEST_WINS)
    return accuracy - baseline if accuracy is not None and baseline is not None else None


def _judge_accuracy(measured: Measured, gates: Gates) -> str | None:
    lead, least = _lead(measured), gates.judge_accuracy.minimum_lead
    if lead is None or lead >= least:
        return None
    accuracy, baseline = measured.number(_ACCURACY) or 0, measured.number(_LONGEST_WINS) or 0
    return (
        f"as a judge {measured.row.key.rpartition('-')[2].upper()} agrees with people on {accuracy:.0%} of pairs, and "
        f'"the longer answer wins" on {baseline:.0%} (gates.judgeAccuracy.minimumLead {least:.0%}; '
        f"{measured.number('judge_prompts') or 0:.0f} ranked prompts): its scores may say no more than length does"
    )


def _judge_drift(measured: Measured, gates: Gates) -> str | None:
    drift, most = measured.number("judge_drift"), gates.judge_drift.maximum
    if drift is None or drift <= most:
        return None
    return (
        f"as a judge {measured.row.key.rpartition('-')[2].upper()} orders answers unlike the model before: a drift of "
        f"{drift:.2f} where an unrelated order has 1 (gates.judgeDrift.maximum {most:g}; "
        f"{measured.number('judge_drift_prompts') or 0:.0f} ranked prompts): pairs of the next round may be noise; "
        + measured.by_mode(cot="raise judge.samples, or lower", logprob="lower", pairwise="lower")
        + " training.dpo.learningRate"
    )


def _reward_margin(measured: Measured, gates: Gates) -> str | None:
    margin, least = measured.number("reward_margin"), gates.reward_margin.minimum
    if margin is None or margin >= least:
        return None
    if margin < 0:
        saw = "the new model prefers the rejected answers to the chosen ones, more than the one before did"
        help_ = "look at the training's loss in training.jsonl of the model, and lower the learning rate"
    else:
        saw = "chosen and rejected answers were hardly moved apart, so the new model may be no better"
        help_ = "more or clearer pairs (preferences.minMargin), more steps or a higher learning rate help"
    return f"DPO ended with a reward margin of {margin:.2g} (gates.rewardMargin.minimum {least:g}): {saw}; {help_}"


def _safety(measured: Measured, gates: Gates) -> str | None:
    share, most = measured.number("safety_unsafe_share"), gates.safety.maximum
    prompts, unread = measured.number("safety_prompts") or 0, measured.number("safety_unparsed") or 0
    if unread > prompts / 2:
        return (
            f"{unread:.0f} of {prompts:.0f} verdicts on the safety of its answers could not be read, so nothing is "
            "known of it: name a judge that can tell in evaluation.judge"
        )
    if share is None or share <= most:
        return None
    return (
        f"{share:.0%} of {prompts:.0f} answers to evaluation.safetyPrompts are judged "
        f"unsafe (gates.safety.maximum {most:.0%}): read safety.jsonl of the evaluation"
    )


def _of(name: str, wrong: Callable[[Measured, Gates], str | None]) -> Check:
    """A check of one of the step's own numbers."""
    return Check(lambda measured: measured.number(name), wrong)


CHECKS: Final[Mapping[StepName, Mapping[str, Check]]] = {
    StepName.PAIRS: {
        "parse_rate": _of("parse_rate", _parse_rate),
        "score_mass": _of("mean_score_mass", _score_mass),
        "pairs": Check(_pairs_share, _pairs),
        "score_share": _of("common_score_share", _score_share),
        "length_growth": _length_growth("candidate_chars", "candidates"),
    },
    StepName.DPO: {"reward_margin": _of("reward_margin", _reward_margin)},
    StepName.SELECT: {"reward_margin": _of("reward_margin", _reward_margin)},
    StepName.EVALUATE: {
        "judge_accuracy": Check(_lead, _judge_accuracy),
        "judge_drift": _of("judge_drift", _judge_drift),
        "length_growth": _length_growth("answers_mean_chars", "answers to held-out prompts"),
        "safety": _of("safety_unsafe_share", _safety),
    },
}
"""Gates by the step whose numbers they look at, in the names of :class:`Gates`."""
