"""The step `pairs` as it runs: a process, a store in a folder, shards in and an artifact out."""

import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from datasets import load_dataset
from steps.pairing.judged_rows import PROMPTS, Iteration, Judged


def many(count: int) -> list[Judged]:
    """Prompts with scores that look drawn but are the same each time."""
    return [
        Judged(
            f"p{n}",
            [(f"{n}.{i}" + "x" * (n * 7 % 31 + i), [(n * 3 + i * 5 + k) % 6 for k in range(3)]) for i in range(4)],
        )
        for n in range(count)
    ]


def test_pairs_and_statistics(iteration: Iteration) -> None:
    ended = iteration.run(iteration.judged(PROMPTS, 2).commit(), truncated="keep")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert iteration.pairs() == [
        {
            "id": "p0",
            "prompt": [{"role": "user", "content": "What is p0?"}],
            "chosen": [{"role": "assistant", "content": "good"}],
            "chosen_score": 4.5,
            "rejected": [{"role": "assistant", "content": "bad answer"}],
            "rejected_score": 1.333333333,
        },
        {
            "id": "p4",
            "prompt": [{"role": "user", "content": "Wie ist das Wetter?\nUnd morgen?"}],
            "chosen": [{"role": "assistant", "content": "schön ☀"}],
            "chosen_score": 5.0,
            "rejected": [{"role": "assistant", "content": "häßlich ☂"}],
            "rejected_score": 0.0,
        },
    ]
    reasons = dict.fromkeys(("truncated", "noisy", "imperfect", "below_margin", "length_control"), 0)
    reasons |= {"unscored": 1, "tied": 1, "identical": 1}
    margin = statistics.fmean([4.5 - 1.333333333, 5])
    mean = statistics.fmean([4, 5, 1, 2, 1, 3, 3, 4, 1, 4, 0, 0, 0, 5, 5, 5])
    assert iteration.statistics() == {
        "prompts": 5,
        "pairs": 2,
        "prompts_without_pair": reasons,
        "candidates": 10,
        "candidates_truncated": 1,
        "truncated_chosen": 0,
        "truncated_rejected": 1,
        "candidates_unscored": 1,
        "candidates_noisy": 0,
        "judgements": 19,
        "judgements_parsed": 16,
        "parse_rate": 16 / 19,
        "mean_score": pytest.approx(mean, abs=1e-9),
        "top_score": 5,
        "top_score_share": 4 / 16,
        "common_score": 5,
        "common_score_share": 4 / 16,
        "score_histogram": {"width": None, "counts": {"0": 3, "1": 3, "2": 1, "3": 2, "4": 3, "5": 4}},
        "mean_score_histogram": {
            "width": None,
            "counts": {"0": 1, "1": 1, "1.3333": 1, "3": 2, "4": 2, "4.5": 1, "5": 1},
        },
        "mean_candidate_chars": 5.3,
        "mean_chosen_chars": 5.5,
        "mean_rejected_chars": 9.5,
        "mean_chosen_score": 4.75,
        "mean_rejected_score": pytest.approx(1.333333333 / 2),
        "mean_margin": pytest.approx(margin, abs=1e-9),
        "intervals": {
            "parse_rate": {"value": 0.842105, "low": ANY, "high": ANY, "count": 19},
            # Clopper and Pearson's table: 2 of 5.
            "pairs_per_prompt": {"value": 0.4, "low": 0.052745, "high": 0.853367, "count": 5},
        },
    }
    assert iteration.result().metrics == {
        "pairs": 2,
        "prompts": 5,
        "ties": 1,
        "candidates": 10,
        "candidates_truncated": 1,
        "prompts_truncated": 0,
        "parse_rate": 16 / 19,
        "mean_margin": pytest.approx(margin, abs=1e-9),
        "mean_score": pytest.approx(mean, abs=1e-9),
        "chosen_chars": 5.5,
        "rejected_chars": 9.5,
        "top_score_share": 0.25,
        "common_score": 5,
        "common_score_share": 0.25,
        "candidate_chars": 5.3,
    }


def test_answers_that_were_cut_off_are_not_learnt(iteration: Iteration) -> None:
    """p0's rejected answer was: without it there is nothing to compare with, and the numbers say so."""
    assert iteration.run(iteration.judged(PROMPTS, 2).commit()).returncode == 0
    assert [row["id"] for row in iteration.pairs()] == ["p4"]
    told = iteration.statistics()
    assert told["prompts_without_pair"]["truncated"] == 1
    assert (told["candidates_truncated"], told["truncated_chosen"], told["truncated_rejected"]) == (1, 0, 0)
    assert iteration.result().metrics["prompts_truncated"] == 1


def test_no_answer_that_ends_names_the_setting(iteration: Iteration) -> None:
    cut = [Judged(f"p{n}", [("a", [1]), ("b", [5])], ["length", "length"]) for n in range(3)]
    assert iteration.run(iteration.judged(cut, 1).commit()).returncode == 64
    assert iteration.result().reason == "NoPreferencePairs"
    assert "3 without enough answers that end within responses.sampling.maxTokens" in iteration.result().message
    assert "raise responses.sampling.maxTokens, or set preferences.truncated: keep" in iteration.result().message


def test_anchored_answers_of_m1_may_be_rejected(iteration: Iteration, tmp_path: Path) -> None:
    prompts = [
        Judged("p0", [("good", [5]), ("fair", [4])]),
        Judged("p1", [("one", [3]), ("two", [3])]),
        Judged("p2", [("new", [5]), ("worse", [1])]),
    ]
    first = [
        Judged("p0", [("old", [1]), ("older", [2])]),
        Judged("p1", [("past", [3]), ("worst", [None])]),
        Judged("p2", [("a", [2]), ("b", [2])]),
    ]
    rows = iteration.judged(prompts, 2).rows
    anchored = Iteration(tmp_path / "other").judged(first, 2).rows
    rows |= {"anchors": anchored["responses"], "anchor-judgements": anchored["judgements"]}
    ended = iteration.run(iteration.commit(), rejected="anchored")
    assert (ended.returncode, ended.stderr) == (0, "")
    told = [
        (row["rejected"][0]["content"], row["rejected_score"], row["rejected_anchored"]) for row in iteration.pairs()
    ]
    assert told == [("old", 1.0, True), ("worse", 1.0, False)]
    statistics = iteration.statistics()
    assert (statistics["candidates"], statistics["anchored_pairs"], statistics["mean_anchor_score"]) == (6, 1, 2.0)
    assert statistics["prompts_without_pair"]["tied"] == 1
    assert iteration.result().metrics["anchored_pairs"] == 1


def test_the_file_opens_as_a_dataset(iteration: Iteration, tmp_path: Path) -> None:
    iteration.run(iteration.judged(many(30), 3).commit())
    found = load_dataset("json", data_files=str(iteration.pairs_file), split="train", cache_dir=str(tmp_path / "cache"))
    assert found.num_rows == len(iteration.pairs()) > 0
    assert found[0] == iteration.pairs()[0]
    assert found.column_names == ["id", "prompt", "chosen", "chosen_score", "rejected", "rejected_score"]


def test_positive_only_has_no_rejected_and_still_opens(iteration: Iteration, tmp_path: Path) -> None:
    perfect = Judged("p5", [("one", [5, 5]), ("two", [5, 4]), ("three", [5])])
    ended = iteration.run(iteration.judged([*PROMPTS, perfect], 1).commit(), strategy="positive-only")
    assert ended.returncode == 0
    found = load_dataset("json", data_files=str(iteration.pairs_file), split="train", cache_dir=str(tmp_path / "cache"))
    assert found.column_names == ["id", "prompt", "chosen", "chosen_score"]
    chosen = [(row["id"], row["chosen"][0]["content"]) for row in found]
    assert chosen == [("p4", "schön ☀"), ("p5", "one"), ("p5", "three")]
    told = iteration.statistics()
    assert (told["pairs"], told["prompts_without_pair"]["imperfect"]) == (3, 4)
    assert told["intervals"]["pairs_per_prompt"]["value"] == pytest.approx(2 / 6, abs=1e-6)
    assert told["mean_rejected_chars"] is None
    assert set(iteration.result().metrics).isdisjoint({"rejected_chars", "mean_margin"})


@pytest.mark.parametrize("shards", [2, 3, 7, 40], ids="{} shards".format)
def test_pairs_do_not_depend_on_the_number_of_shards(tmp_path: Path, shards: int) -> None:
    settings: dict[str, Any] = {"strategy": "best-random"}
    whole, spread = Iteration(tmp_path / "whole"), Iteration(tmp_path / "spread")
    assert whole.run(whole.judged(many(25), 1).commit(), **settings).returncode == 0
    assert spread.run(spread.judged(many(25), shards).commit(), **settings).returncode == 0
    assert whole.pairs_file.read_bytes() == spread.pairs_file.read_bytes()
    assert whole.statistics() == spread.statistics()
    order = [int(row["id"][1:]) for row in whole.pairs()]
    assert order == sorted(order)
    assert len(order) > 15


def test_more_shards_than_files_may_be_open(iteration: Iteration) -> None:
    ended = iteration.run(iteration.judged(many(50), 50).commit(), open_files=64)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_step_loads_nothing_heavy() -> None:
    heavy = {"torch", "datasets", "transformers", "scipy.stats"}
    code = f"import sys, selfreward_steps.pairs; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
