"""The step `pairs` where it cannot make pairs: one line that names the numbers, or the inputs that do not match."""

from collections.abc import Callable
from typing import Any

import pytest
from selfreward_steps.contract import FailureClass
from steps.pairing.judged_rows import ITERATION, PROMPTS, Iteration, Judged

NO_SCORE = [Judged("p0", [("a", [None, None]), ("b", [None, None])]), Judged("p1", [("c", [None]), ("d", [None])])]
FAILURES: dict[str, tuple[list[Judged], dict[str, Any], str, list[str]]] = {
    "nothing parses": (
        NO_SCORE,
        {},
        "NoScores",
        ["iteration-1/judgements: none of 6 judgements of 4 candidates (2 prompts)", "judge.mode: logprob"],
    ),
    "all tied": (
        [PROMPTS[1], Judged("p9", [("a", [2]), ("b", [2, None])])],
        {},
        "NoPreferencePairs",
        [
            "iteration-1/pairs: no preference pair from 2 prompts (2 tied; 1 of 5 judgements state no score)",
            "set judge.mode: logprob, raise judge.samples, responses.sampling.temperature or prompts.count",
        ],
    ),
    "margin too high": (
        [PROMPTS[0], PROMPTS[4], PROMPTS[3]],
        {"minMargin": 5.5, "truncated": "keep"},
        "NoPreferencePairs",
        [
            "(2 below preferences.minMargin 5.5, 1 without enough scored candidates; 3 of 15",
            "lower preferences.minMargin",
        ],
    ),
    "all noisy": (
        [Judged("p0", [("a", [1, 5]), ("b", [0, 5])])],
        {"maxScoreStd": 0.25},
        "NoPreferencePairs",
        ["(1 whose judgements disagree by more than preferences.maxScoreStd 0.25;", "raise preferences.maxScoreStd"],
    ),
    "length control": (
        [Judged("p0", [("long", [5]), ("s", [1])])],
        {"lengthControl": [1]},
        "NoPreferencePairs",
        ["(1 without a longer, worse answer under preferences.lengthControl 1;", "lower preferences.lengthControl"],
    ),
    "equal texts": (
        [PROMPTS[2]],
        {},
        "NoPreferencePairs",
        ["(1 with equal texts; 0 of 2 judgements", "raise responses.sampling.temperature"],
    ),
    "one scored candidate": (
        [PROMPTS[3]],
        {},
        "NoPreferencePairs",
        ["(1 without enough scored candidates; 2 of 3 judgements", "look at the critiques"],
    ),
    "no prompts": ([], {}, "NoPreferencePairs", ["from 0 prompts (nothing to judge; 0 of 0", "raise prompts.count"]),
}


@pytest.mark.parametrize(("prompts", "settings", "reason", "words"), FAILURES.values(), ids=FAILURES.keys())
def test_no_pairs_is_one_line_that_names_the_numbers(
    iteration: Iteration, prompts: list[Judged], settings: dict[str, Any], reason: str, words: list[str]
) -> None:
    ended = iteration.run(iteration.judged(prompts, 1).commit(), **settings)
    result = iteration.result()
    assert (ended.returncode, result.reason, result.failure_class) == (64, reason, FailureClass.PERMANENT)
    assert ended.stderr == f"{reason}: {result.message}\n"
    assert [word for word in words if word not in result.message] == []
    assert (result.metrics["pairs"], result.metrics["prompts"]) == (0, len(prompts)), "the gates look at them"
    assert iteration.store.read_manifest(f"{ITERATION}/pairs") is None


def _swap_judgements(rows: dict[str, list[list[dict[str, Any]]]]) -> None:
    part = rows["judgements"][0]
    part[0], part[1] = part[1], part[0]


def _swap_shards(rows: dict[str, list[list[dict[str, Any]]]]) -> None:
    for role in ("responses", "judgements"):
        rows[role].reverse()


def _drop_shard(rows: dict[str, list[list[dict[str, Any]]]]) -> None:
    rows["judgements"].pop()


def _shorten(role: str) -> Callable[[dict[str, list[list[dict[str, Any]]]]], None]:
    def shorten(rows: dict[str, list[list[dict[str, Any]]]]) -> None:
        rows[role][-1].pop()

    return shorten


MISMATCHES: dict[str, tuple[Callable[[dict[str, list[list[dict[str, Any]]]]], None], str]] = {
    "candidates out of order": (
        _swap_judgements,
        "shard-00000/judgements.jsonl: prompt 'p0' candidate 0 was to come, found prompt 'p0' candidate 1",
    ),
    "a judgement is missing": (
        _shorten("judgements"),
        "shard-00001/judgements.jsonl: prompt 'p3' candidate 1 was to come, found the end of the file",
    ),
    "a response is missing": (_shorten("responses"), "candidate 0 has no such answer in"),
    "a prompt is missing": (_shorten("prompts"), "shard-00000/responses.jsonl: prompt 'p4' is not in"),
    "shards in another order": (_swap_shards, "responses.jsonl: prompt 'p0' was to come, found prompt 'p1'"),
    "a shard is missing": (_drop_shard, "2 shards of responses, but 1 of judgements"),
}


@pytest.mark.parametrize(("spoil", "words"), MISMATCHES.values(), ids=MISMATCHES.keys())
def test_inputs_that_do_not_belong_together_are_refused(
    iteration: Iteration, spoil: Callable[[dict[str, list[list[dict[str, Any]]]]], None], words: str
) -> None:
    spoil(iteration.judged(PROMPTS, 2).rows)
    ended = iteration.run(iteration.commit())
    assert (ended.returncode, iteration.result().reason) == (64, "RowsDoNotMatch")
    assert words in ended.stderr
    assert "delete the iteration's responses and judgements" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
