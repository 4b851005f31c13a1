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
        pytest.param(judge(0.9, prompts=2, half=0.3), Tone.UNSURE, "(only 2 prompts)", id="two prompts"),
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
        (Tone.GOOD, "M3 beats M1: wins 50% [46–54], loses 10% [6–14]."),
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


def test_a_loss_is_told() -> None:
    document = {"head_to_head": {"prompts": 256, "win": rate(0.1), "tie": rate(0.4), "loss": rate(0.5)}}
    assert said(report({}, document)) == [(Tone.BAD, "M2 loses to M1: wins 10% [8–12], loses 50% [48–52].")]


def test_answers_that_grew() -> None:
    lengths = [judge(0.8) | {"answers": {"prompts": 9, "mean_chars": chars}} for chars in (1092.0, 2552.0)]
    assert said(report(*lengths))[-1] == (
        Tone.BAD,
        "Answers grew 2.3-fold from M1 to M2, 1,092 to 2,552 characters: part of what the judge prefers may be length "
        "(preferences.lengthControl).",
    )


def test_nothing_is_said_of_nothing() -> None:
    assert said(report({}, {})) == []
