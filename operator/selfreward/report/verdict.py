"""The verdict at the head of a report: a few sentences on whether the model got better, each with its numbers. Pure.

Whoever reads only this must not be promised what the next seed takes back. Wins against losses are claimed by their
sign test, other differences only when two confidence intervals do not touch, which is stricter than a test of the
difference; and nothing is claimed of fewer than thirty prompts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from selfreward.report.grounds import are_enough, is_difference, sign_test, too_few
from selfreward.report.model import Estimate, HeadToHead, JudgeQuality, ModelReport, RunReport, TaskScore
from selfreward.report.words import number

_MUCH_LONGER: Final = 1.5
"""Growth of answers that a reader must hear of: the paper's went 1.4-fold, then 2.3-fold (section 3.3)."""


class Tone(StrEnum):
    """Whether a statement is good news, bad news or neither."""

    GOOD = "good"
    UNSURE = "unsure"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One statement of the verdict, in plain words."""

    tone: Tone
    text: str


def verdict(report: RunReport) -> tuple[Sentence, ...]:
    """About the newest model that was evaluated; nothing before there is one."""
    evaluated = [model for model in report.models if model.judge is not None or model.head_to_heads or model.tasks]
    if not evaluated:
        return ()
    model, first = evaluated[-1], evaluated[0]
    return tuple(_sentences(model, first))


def _sentences(model: ModelReport, first: ModelReport) -> Iterator[Sentence]:
    if model.judge is not None:
        yield from _as_judge(model.name, model.judge)
        if first is not model and first.judge is not None:
            yield from _since(model.name, model.judge, first.name, first.judge)
    for each in model.head_to_heads:
        yield from _wins(model.name, each)
    yield from _longer(model, first)
    yield from _tax(model, first)


def _as_judge(name: str, judge: JudgeQuality) -> Iterator[Sentence]:
    accuracy, longest = judge.accuracy, judge.longest_wins
    if accuracy is None:
        return
    words = f"As a judge {name} agrees with people on {percent(accuracy)} of pairs"
    if longest is None:
        yield Sentence(Tone.UNSURE, f"{words}.")
        return
    tone, relation = _compared(accuracy, longest, judge.prompts)
    how = {Tone.GOOD: "more than", Tone.BAD: "less than", Tone.UNSURE: "not clearly different from"}[tone]
    yield Sentence(tone, f"{words}: {how} what preferring the longer answer gets, {percent(longest)}{relation}.")


def _since(name: str, judge: JudgeQuality, first: str, then: JudgeQuality) -> Iterator[Sentence]:
    if judge.accuracy is None or then.accuracy is None:
        return
    tone, relation = _compared(judge.accuracy, then.accuracy, judge.prompts)
    how = {Tone.GOOD: "better", Tone.BAD: "worse", Tone.UNSURE: "not clearly better or worse"}[tone]
    yield Sentence(tone, f"As a judge {name} is {how} than {first}, {percent(then.accuracy)}{relation}.")


def _wins(name: str, each: HeadToHead) -> Iterator[Sentence]:
    if each.win is None or each.loss is None:
        return
    tone = Tone.UNSURE
    if is_difference(each.prompts, each.p_value):
        tone = Tone.GOOD if each.win.value > each.loss.value else Tone.BAD
    how = {Tone.GOOD: "beats", Tone.BAD: "loses to", Tone.UNSURE: "is not clearly better or worse than"}[tone]
    rates = f"wins {percent(each.win)}, loses {percent(each.loss)}"
    yield Sentence(tone, f"{name} {how} {each.against}: {rates} ({sign_test(each.prompts, each.p_value)}).")


def _longer(model: ModelReport, first: ModelReport) -> Iterator[Sentence]:
    if first is model or not model.answer_chars or not first.answer_chars:
        return
    before, now = first.answer_chars.value, model.answer_chars.value
    growth = now / before if before else 1.0
    if growth >= _MUCH_LONGER and are_enough(model.answer_chars.count):
        lengths = f"{number(round(before))} to {number(round(now))} characters"
        yield Sentence(
            Tone.BAD,
            f"Answers grew {growth:.1f}-fold from {first.name} to {model.name}, {lengths}: part of what the judge "
            "prefers may be length (preferences.lengthControl).",
        )


def _tax(model: ModelReport, first: ModelReport) -> Iterator[Sentence]:
    """What lm-eval's tasks say of the model against the first."""
    both = [name for name in model.tasks if name in first.tasks] if first is not model else []
    if not both:
        return
    tones = {name: _since_first(model.tasks[name], first.tasks[name]) for name in both}
    worse = [name for name in both if tones[name] is Tone.BAD]
    better = [name for name in both if tones[name] is Tone.GOOD]
    for tone, how, names in ((Tone.BAD, "worse", worse), (Tone.GOOD, "better", better)):
        if names:
            told = ", ".join(f"{name} {_scores(first, model, name)}" for name in names)
            yield Sentence(tone, f"On lm-eval's tasks {model.name} is {how} than {first.name}: {told}.")
    if not worse and not better:
        scores = "one score" if len(both) == 1 else f"{len(both)} scores"
        how = f"is not clearly better or worse than {first.name} (by {scores})"
        yield Sentence(Tone.UNSURE, f"On lm-eval's tasks {model.name} {how}.")


def _scores(first: ModelReport, model: ModelReport, name: str) -> str:
    return f"{first.tasks[name].estimate.value:.3f} → {model.tasks[name].estimate.value:.3f}"


def _since_first(now: TaskScore, before: TaskScore) -> Tone:
    tone, _ = _compared(now.estimate, before.estimate, now.estimate.count)
    if now.higher_is_better is None:
        return Tone.UNSURE
    return tone if now.higher_is_better else {Tone.GOOD: Tone.BAD, Tone.BAD: Tone.GOOD}.get(tone, tone)


def _compared(this: Estimate, other: Estimate, prompts: float | None) -> tuple[Tone, str]:
    if prompts is not None and not are_enough(prompts):
        return Tone.UNSURE, f" ({too_few(prompts)})"
    if None in (this.low, this.high, other.low, other.high):
        return Tone.UNSURE, ""
    assert this.low is not None
    assert this.high is not None
    assert other.low is not None
    assert other.high is not None
    if this.low > other.high:
        return Tone.GOOD, ""
    if this.high < other.low:
        return Tone.BAD, ""
    return Tone.UNSURE, " (the intervals overlap)"


def percent(estimate: Estimate) -> str:
    """A share with its interval: `61% [58–67]`."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.0%}"
    return f"{estimate.value:.0%} [{100 * estimate.low:.0f}–{100 * estimate.high:.0f}]"
