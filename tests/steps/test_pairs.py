"""The step `pairs` as it runs: a process, a store in a folder, shards in and an artifact out."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from selfreward_steps.contract import FailureClass
from selfreward_steps.store import open_store
from selfreward_steps.store.digests import digest_of
from steps.pairing.judged_rows import ITERATION, Iteration, Judged

PROMPTS = [
    Judged("p0", [("good", [4, 5, None]), ("bad answer", [1, 2, 1])], ["stop", "length"]),
    Judged("p1", [("one", [3]), ("two", [3])]),
    Judged("p2", [("same", [4]), ("same", [1])]),
    Judged("p3", [("scored", [4]), ("not", [None, None])]),
    Judged("p4", [("häßlich ☂", [0, 0, 0]), ("schön ☀", [5, 5, 5])], prompt="Wie ist das Wetter?\nUnd morgen?"),
]


@pytest.fixture
def iteration(tmp_path: Path) -> Iteration:
    return Iteration(tmp_path)


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
    ended = iteration.run(iteration.judged(PROMPTS, 2).commit())
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
    reasons = {"unscored": 1, "noisy": 0, "tied": 1, "below_margin": 0, "length_control": 0, "identical": 1}
    margin = statistics.fmean([4.5 - 1.333333333, 5])
    mean = statistics.fmean([4, 5, 1, 2, 1, 3, 3, 4, 1, 4, 0, 0, 0, 5, 5, 5])
    assert iteration.statistics() == {
        "prompts": 5,
        "pairs": 2,
        "prompts_without_pair": reasons,
        "candidates": 10,
        "candidates_truncated": 1,
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
            "parse_rate": {"value": 0.842105, "low": pytest.approx(0.6, abs=0.1), "high": 1.0, "count": 19},
            "pairs_per_prompt": {"value": 0.4, "low": 0.0, "high": 0.8, "count": 5},
        },
    }
    assert iteration.result().metrics == {
        "pairs": 2,
        "prompts": 5,
        "ties": 1,
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
    ended = iteration.run(iteration.judged(PROMPTS, 1).commit(), strategy="positive-only")
    assert ended.returncode == 0
    found = load_dataset("json", data_files=str(iteration.pairs_file), split="train", cache_dir=str(tmp_path / "cache"))
    assert found.column_names == ["id", "prompt", "chosen", "chosen_score"]
    chosen = {row["id"]: row["chosen"][0]["content"] for row in found}
    assert chosen == {"p0": "good", "p1": "one", "p2": "same", "p3": "scored", "p4": "schön ☀"}
    assert iteration.statistics()["mean_rejected_chars"] is None
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
    code = (
        "import sys, selfreward_steps.pairs; print({'torch', 'datasets', 'transformers', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


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
        {"minMargin": 5.5},
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


def synthetic(iteration: Iteration, prompts: int, shards: int) -> dict[str, Any]:
    """4 answers of 600 characters and 3 critiques of 400 each a prompt, written line by line."""
    critique, answer = "The answer is clear and to the point. " * 10 + "x" * 20, "An answer of some length. " * 24
    inputs: dict[str, Any] = {}
    digests: dict[str, list[str]] = {"responses": [], "judgements": []}
    folders = {role: [iteration.root / "made" / role / str(shard) for shard in range(shards)] for role in digests}
    for folder in (folder for each in folders.values() for folder in each):
        folder.mkdir(parents=True)
    told = iteration.root / "made" / "prompts"
    told.mkdir()
    (told / "prompts.jsonl").write_text(
        "".join(f'{{"id": "p{n}", "prompt": "Question {n}?"}}\n' for n in range(prompts))
    )
    for shard in range(shards):
        with (
            (folders["responses"][shard] / "responses.jsonl").open("w") as responses,
            (folders["judgements"][shard] / "judgements.jsonl").open("w") as judgements,
        ):
            for n in range(shard, prompts, shards):
                made = [{"text": f"{n}.{i} {answer}", "finish_reason": "stop"} for i in range(4)]
                row = {"id": f"p{n}", "prompt": f"Question {n}?", "candidates": made, "tokens": 600}
                responses.write(json.dumps(row) + "\n")
                for i in range(4):
                    scores = [(n * 3 + i * 5 + k * k) % 6 for k in range(3)]
                    judged = {"id": f"p{n}", "candidate": i, "scores": scores, "critiques": [critique] * 3}
                    judgements.write(json.dumps(judged) + "\n")
    store = open_store(iteration.uri)
    manifest = store.commit(f"{ITERATION}/prompts", told, inputs_digest=digest_of("prompts"), step="test")
    inputs["prompts"] = {"artifact": f"{ITERATION}/prompts", "digest": manifest.digest}
    for role, parts in folders.items():
        for shard, folder in enumerate(parts):
            name = f"{ITERATION}/{role}/shard-{shard:05d}"
            manifest = store.commit(name, folder, inputs_digest=digest_of(name), step="test")
            digests[role].append(manifest.digest)
        inputs[role] = {"artifact": f"{ITERATION}/{role}", "digest": digest_of(digests[role]), "shards": shards}
    return inputs


WATCHED = """
import atexit, os, pathlib, re, runpy

def tell():
    status = pathlib.Path("/proc/self/status").read_text()
    pathlib.Path(os.environ["PEAK"]).write_text(re.search(r"VmHWM:\\s*(\\d+)", status)[1])

atexit.register(tell)
runpy.run_module("selfreward_steps", run_name="__main__", alter_sys=True)
"""
"""The step, telling its own peak in KiB: what `wait4` gives counts the test process it was forked from."""


@pytest.mark.parametrize(
    ("prompts", "cpu_seconds", "gibibytes"),
    [
        pytest.param(1_000, 5, 0.25, id="12,000 judgements"),
        pytest.param(83_334, 30, 2, id="1,000,000 judgements", marks=pytest.mark.slow),
    ],
)
def test_time_and_memory(iteration: Iteration, prompts: int, cpu_seconds: float, gibibytes: float) -> None:
    """Processor time, start and verification of the inputs included: the step has one thread for its work, so on a
    machine of its own this is the time it takes."""
    inputs = synthetic(iteration, prompts, 4)
    started = time.monotonic()
    output = os.open(iteration.root / "output", os.O_CREAT | os.O_WRONLY)
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", WATCHED, "pairs"],
        iteration.environment(inputs, {}) | {"PEAK": str(iteration.root / "peak")},
        file_actions=[(os.POSIX_SPAWN_DUP2, output, 1)],
    )
    os.close(output)
    _, status, usage = os.wait4(child, 0)
    wall, used = time.monotonic() - started, usage.ru_utime + usage.ru_stime
    peak = int((iteration.root / "peak").read_text()) / 2**20
    print(f"{prompts * 12:,} judgements: {used:.1f} s of processor, {wall:.1f} s, {peak:.3f} GiB")
    assert os.waitstatus_to_exitcode(status) == 0
    assert iteration.statistics()["judgements"] == prompts * 12
    assert iteration.statistics()["pairs"] == prompts
    assert used < cpu_seconds
    assert peak < gibibytes
