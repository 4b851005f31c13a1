"""Head-to-head comparison: a model's answers against another's, in both orders; disagreement is a tie (section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from selfreward_steps.client.requests import ChatRequest, seed_for
from selfreward_steps.contract import COMPARISON_FILES, Sampling
from selfreward_steps.evaluation.work import Kind, Work
from selfreward_steps.judging.comparison import comparison_message, is_swayed, outcome, stated_verdict
from selfreward_steps.measuring.intervals import share
from selfreward_steps.measuring.judge_quality import sign_test, win_rates
from selfreward_steps.rows import PromptRow

SECTIONS: Final[Mapping[Kind, str]] = {
    Kind.AGAINST: "head_to_head",
    Kind.PREVIOUS: "head_to_head_previous",
    Kind.OUTSIDE: "head_to_head_outside",
    Kind.BASELINE: "head_to_head_baseline",
}
"""Where `metrics.json` tells of an opponent; M1 has no ending."""
FILES: Final[Mapping[Kind, str]] = {kind: COMPARISON_FILES[section] for kind, section in SECTIONS.items()}


def comparison_requests(
    work: Work, opponent: Kind, answers: Mapping[str, str], sampling: Sampling, seed: int
) -> Iterator[ChatRequest]:
    """Each pair of answers twice, the second time with the two exchanged."""
    keys = work.ranges[opponent]
    # M1 was the first opponent: its requests keep the seeds they had.
    what = "comparison" if opponent is Kind.AGAINST else f"comparison-{opponent}"
    for place, row in enumerate(work.compared(opponent)):
        mine, other = answers.get(row["id"]), work.opponents[opponent][row["id"]]
        if mine is None:
            continue
        for order, (first, second) in enumerate(((mine, other), (other, mine))):
            message = comparison_message(row["prompt"], first, second)
            yield ChatRequest(keys[2 * place + order], message, sampling, seed_for(seed, row["id"], what, order))


def comparison_report(
    work: Work, opponent: Kind, answers: Mapping[str, str], replies: Sequence[str | None]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The section of `metrics.json`, and a row a prompt; `replies` are the judge's, in the order of the requests.

    A prompt is left out where one of its two replies is None: an answer or a question that the server did not take.
    """
    others = work.opponents[opponent]
    compared: list[PromptRow] = []
    verdicts: list[tuple[int | None, int | None]] = []
    for row, forward, backward in zip(work.compared(opponent), replies[::2], replies[1::2], strict=True):
        if forward is not None and backward is not None:
            compared.append(row)
            verdicts.append((stated_verdict(forward), stated_verdict(backward)))
    outcomes = [outcome(*pair) for pair in verdicts]
    rows: list[dict[str, Any]] = [
        {
            "id": row["id"],
            "prompt": row["prompt"],
            "answer": answers[row["id"]],
            "against": others[row["id"]],
            "outcome": result,
        }
        for row, result in zip(compared, outcomes, strict=True)
    ]
    swayed = [(float(is_swayed(*pair)), 1.0) for pair in verdicts]
    section = {
        "prompts": len(outcomes),
        "unparsed": sum(pair.count(None) for pair in verdicts),
        **{name: each.as_json() for name, each in win_rates(outcomes).items()},
        "p_value": sign_test(outcomes),
        "position_bias": share(swayed).as_json(),
        "against_mean_chars": sum(len(row["against"]) for row in rows) / len(rows) if rows else None,
    }
    return section, rows
