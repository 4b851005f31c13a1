"""What is claimed of a run, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from report.made_run import metrics
from selfreward.api import Phase
from selfreward.report import evidence
from selfreward.report.model import ModelReport, RunReport
from selfreward.report.verdict import Tone, verdict


def rate(value: float, half: float = 0.02) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half, "count": 100.0}


def report(*documents: dict[str, Any]) -> RunReport:
    models = tuple(
        ModelReport(
            number=number,
            artifact=f"m{number}",
            digest="sha256:0",
            made_by=(),
            judge=evidence.judge_quality(document),
            head_to_heads=tuple(evidence.head_to_heads(document, number)),
            answer_chars=evidence.answer_chars(document),
            tasks=evidence.task_scores(document),
        )
        for number, document in enumerate(documents, 1)
    )
    return RunReport("r", "default", Phase.SUCCEEDED, "", "hf://a/b", 1, None, None, models, (), (), "", "file:///x")


def said(found: RunReport) -> Sequence[tuple[Tone, str]]:
    return [(sentence.tone, sentence.text) for sentence in verdict(found)]


def judge(accuracy: float, longest: float = 0.66, prompts: int = 120, half: float = 0.02) -> dict[str, Any]:
    rates = {"pairwise_accuracy": rate(accuracy, half), "pairwise_accuracy_longest_wins": rate(longest, half)}
    return {"judge": {"prompts": prompts, **rates}}


@pytest.mark.parametrize(
    ("document", "tone", "words"),
    [
        pytest.param(judge(0.8), Tone.GOOD, "more than what preferring the longer answer gets", id="beats length"),
        pytest.param(judge(0.5), Tone.BAD, "less than what preferring the longer answer gets", id="worse than length"),
        pytest.param(judge(0.67), Tone.UNSURE, "not clearly different from what", id="the intervals overlap"),
        pytest.param(
            judge(0.9, prompts=2), Tone.UNSURE, "(too few to tell: 2 prompts, 30 are needed)", id="two prompts"
        ),
    ],
)
def test_the_judge_against_length(document: dict[str, Any], tone: Tone, words: str) -> None:
    ((found, text),) = said(report(document))
    assert found is tone
    assert words in text


def test_the_judge_since_m1_and_wins() -> None:
    found = said(report(metrics(1), metrics(2), metrics(3)))
    assert found == [
        (
            Tone.GOOD,
            "As a judge M3 agrees with people on 75% [71–79] of pairs: more than what preferring the longer answer "
            "gets, 66% [62–70].",
        ),
        (Tone.GOOD, "As a judge M3 is better than M1, 65% [61–69]."),
        (Tone.GOOD, "M3 beats M1: wins 50% [46–54], loses 10% [6–14] (sign test p < 0.001)."),
        (Tone.BAD, "On lm-eval's tasks M3 is worse than M1: arc_easy/acc 0.700 → 0.500."),
    ]


def tasks(**scores: tuple[float, bool | None]) -> dict[str, Any]:
    return {"lm_eval": {name: rate(value) | {"higher_is_better": up} for name, (value, up) in scores.items()}}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param(
            tasks(a=(0.5, True), b=(0.5, True)),
            tasks(a=(0.6, True), b=(0.4, True)),
            [
                (Tone.BAD, "On lm-eval's tasks M2 is worse than M1: b 0.500 → 0.400."),
                (Tone.GOOD, "On lm-eval's tasks M2 is better than M1: a 0.500 → 0.600."),
            ],
            id="one up, one down",
        ),
        pytest.param(
            tasks(perplexity=(9.0, False)),
            tasks(perplexity=(8.0, False)),
            [(Tone.GOOD, "On lm-eval's tasks M2 is better than M1: perplexity 9.000 → 8.000.")],
            id="less is better",
        ),
        pytest.param(
            tasks(a=(0.5, True), b=(0.5, None)),
            tasks(a=(0.51, True), b=(0.9, None)),
            [(Tone.UNSURE, "On lm-eval's tasks M2 is not clearly better or worse than M1 (by 2 scores).")],
            id="the intervals overlap, or nobody says which way is better",
        ),
        pytest.param(tasks(a=(0.5, True)), tasks(b=(0.9, True)), [], id="other tasks"),
    ],
)
def test_the_alignment_tax(before: dict[str, Any], now: dict[str, Any], expected: list[tuple[Tone, str]]) -> None:
    assert said(report(before, now)) == expected


def met(win: float, loss: float, prompts: int, p_value: float | None, half: float = 0.02) -> dict[str, Any]:
    rates = {"win": rate(win, half), "tie": rate(1 - win - loss), "loss": rate(loss, half)}
    return {"head_to_head": {"prompts": prompts, **rates, "p_value": p_value}}


@pytest.mark.parametrize(
    ("document", "tone", "words"),
    [
        pytest.param(
            met(0.1, 0.5, 256, 1e-9),
            Tone.BAD,
            "M2 loses to M1: wins 10% [8–12], loses 50% [48–52] (sign test p < 0.001).",
            id="a loss",
        ),
        pytest.param(
            met(0.4, 0.1, 30, 0.035, half=0.2),
            Tone.GOOD,
            "M2 beats M1: wins 40% [20–60], loses 10% [-10–30] (sign test p = 0.035).",
            id="the test decides, whatever the intervals do",
        ),
        pytest.param(
            met(1, 0, 2, 0.5, half=0),
            Tone.UNSURE,
            "M2 is not clearly better or worse than M1: wins 100% [100–100], loses 0% [0–0] (too few to tell: "
            "2 prompts, 30 are needed).",
            id="two wins of two",
        ),
        pytest.param(
            met(1, 0, 29, 1e-8, half=0),
            Tone.UNSURE,
            "M2 is not clearly better or worse than M1: wins 100% [100–100], loses 0% [0–0] (too few to tell: "
            "29 prompts, 30 are needed).",
            id="29 of 29",
        ),
        pytest.param(
            met(0.3, 0.2, 100, 0.32),
            Tone.UNSURE,
            "M2 is not clearly better or worse than M1: wins 30% [28–32], loses 20% [18–22] (sign test p = 0.32).",
            id="intervals that do not touch are not enough",
        ),
        pytest.param(
            met(0.5, 0.1, 256, None),
            Tone.UNSURE,
            "M2 is not clearly better or worse than M1: wins 50% [48–52], loses 10% [8–12] (no sign test).",
            id="an earlier version's",
        ),
    ],
)
def test_wins_are_claimed_by_their_test(document: dict[str, Any], tone: Tone, words: str) -> None:
    assert said(report({}, document)) == [(tone, words)]


def test_nothing_is_claimed_of_few_prompts() -> None:
    """Neither against length, nor since M1, nor of lengths, nor on lm-eval's tasks."""

    def model(accuracy: float, score: float, chars: float) -> dict[str, Any]:
        lengths = {"prompts": 4, "mean_chars": chars, "mean_chars_interval": rate(chars) | {"count": 4.0}}
        task = {"a": rate(score) | {"count": 8.0, "higher_is_better": True}}
        return judge(accuracy, prompts=4) | {"answers": lengths, "lm_eval": task}

    found = said(report(model(0.3, 0.1, 100.0), model(0.9, 0.9, 900.0)))
    assert [tone for tone, _ in found] == [Tone.UNSURE] * 3
    assert sum("(too few to tell: 4 prompts, 30 are needed)" in text for _, text in found) == 2


def test_answers_that_grew() -> None:
    lengths = [judge(0.8) | {"answers": {"prompts": 9, "mean_chars": chars}} for chars in (1092.0, 2552.0)]
    assert said(report(*lengths))[-1] == (
        Tone.BAD,
        "Answers grew 2.3-fold from M1 to M2, 1,092 to 2,552 characters: part of what the judge prefers may be length "
        "(preferences.lengthControl).",
    )


def test_nothing_is_said_of_nothing() -> None:
    assert said(report({}, {})) == []
