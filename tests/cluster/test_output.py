"""Logs, read as they grow."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from selfreward.cluster.local.output import LogTail
from selfreward.cluster.progress import summed_progress
from selfreward.cluster.ranks import FallenRank
from selfreward_steps.contract import Progress

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def tail_of(tmp_path: Path, *parts: bytes) -> LogTail:
    path = tmp_path / "log"
    tail = LogTail(path)
    tail.read(NOW)
    for part in parts:
        with path.open("ab") as file:
            file.write(part)
        tail.read(NOW)
    return tail


def test_a_line_written_in_two_parts_is_one_line(tmp_path: Path) -> None:
    tail = tail_of(tmp_path, b'{"kind":"progress","done":1,"total":4,', b'"unit":"prompts"}\n')
    assert tail.progress == Progress(done=1, total=4, unit="prompts")
    assert tail.progress_at == NOW
    assert tail.last_line == "", "progress is not what a process says to people"


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    tail = tail_of(tmp_path, b"one\n", b"two\nthr", b"ee\n")
    assert tail.last_line == "three"
    tail.path.write_bytes(b"x" * 12)  # as long as it was: nothing is read again
    tail.read(NOW)
    assert tail.last_line == "three"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        pytest.param(b"10%|# |\r100%|##|\n", "100%|##|", id="redrawn bar"),
        pytest.param(b"\x1b[1;36mloading\x1b[0m\n", "loading", id="colours"),
        pytest.param(
            b"(APIServer pid=7) INFO 11-23 01:02:03 [loader.py:10] Loading weights\n", "Loading weights", id="vLLM"
        ),
        pytest.param(b"words\n\n  \n", "words", id="empty lines"),
        pytest.param(b'words\n{"kind": "result", "succeeded": true}\n', "words", id="result line"),
        pytest.param(b"\xff\xfe broken\n", "\ufffd\ufffd broken", id="not UTF-8"),
    ],
)
def test_last_words(tmp_path: Path, line: bytes, text: str) -> None:
    assert tail_of(tmp_path, line).last_line == text


def test_a_stage_is_what_a_loading_server_says_of_its_loading(tmp_path: Path) -> None:
    stages = []
    for line in (
        "INFO 11-30 16:21:40 [model.py:733] Resolved architecture: LlamaForCausalLM",
        "INFO 11-30 16:21:54 [core.py:133] Initializing an engine with config: download_dir=None, " + "x" * 200,
        "INFO 11-30 16:22:11 [cpu_model_runner.py:68] Starting to load model /models/m1...",
        "FutureWarning: loading so is deprecated",
        "Loading safetensors checkpoint shards:  50% Completed | 1/2",
        "INFO 11-30 16:22:17 [utils.py:347] Using LBHNC KV cache layout.",
        "Capturing CUDA graphs (decode, FULL):  40%",
        "INFO 11-30 16:22:19 [core.py:402] init engine (profile, create kv cache, warmup model) took 2.04 s",
    ):
        stages.append(tail_of(tmp_path, f"{line}\n".encode()).last_stage)
    assert stages == [
        "",
        "",
        *["Starting to load model /models/m1..."] * 2,
        *["Loading safetensors checkpoint shards:  50% Completed | 1/2"] * 2,
        "Capturing CUDA graphs (decode, FULL):  40%",
        "init engine (profile, create kv cache, warmup model) took 2.04 s",
    ]


def test_an_error_is_remembered_over_what_follows(tmp_path: Path) -> None:
    tail = tail_of(tmp_path, b"ValueError: no such dtype\nshutting down\n")
    assert (tail.last_error, tail.last_line) == ("ValueError: no such dtype", "shutting down")


def test_a_line_without_an_end_does_not_grow_for_ever(tmp_path: Path) -> None:
    tail = tail_of(tmp_path, *[b"x" * 100_000] * 5, b"\nend\n")
    assert tail.last_line == "end"


def shard(tmp_path: Path, name: str, progress: Progress | None) -> LogTail:
    tail = LogTail(tmp_path / name)
    tail.progress, tail.progress_at = progress, NOW if progress is not None else None
    return tail


def test_shards_add_up(tmp_path: Path) -> None:
    """Of four: one done, one under way, one waiting for its input, one not started."""
    shards = [
        (shard(tmp_path, "0", Progress(done=25, total=25, unit="prompts", metrics={"tokens_per_second": 5})), True),
        (shard(tmp_path, "1", Progress(done=5, total=25, unit="prompts", metrics={"tokens_per_second": 7})), False),
        (shard(tmp_path, "2", Progress(done=0, unit="waiting for input")), False),
        (shard(tmp_path, "3", None), False),
    ]
    found = summed_progress(shards)
    assert found is not None
    assert (found.done, found.total, found.unit) == (30, 100, "prompts")
    assert found.metrics == {"tokens_per_second": 7}, "a rate of what has ended is no rate"


def test_a_shard_that_was_done_before_counts_as_done(tmp_path: Path) -> None:
    shards = [(shard(tmp_path, "0", None), True), (shard(tmp_path, "1", Progress(done=5, total=20, unit="p")), False)]
    found = summed_progress(shards)
    assert found is not None
    assert (found.done, found.total) == (25, 40)


def test_no_word_is_no_progress(tmp_path: Path) -> None:
    assert summed_progress([(shard(tmp_path, "0", None), False)]) is None


_OTHER = b"""
[1]:
  rank      : 0 (local_rank: 0)
  exitcode  : 143 (pid: 5612)
  error_file: <N/A>
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
"""
_KILLED = b"""
  rank      : 1 (local_rank: 1)
  exitcode  : -9 (pid: 5613)  (SIGKILL)
  error_file: <N/A>
  traceback : Signal 9 (SIGKILL) received by PID 5613
============================================================
"""


@pytest.mark.parametrize(
    ("log", "fallen"),
    [
        pytest.param(_OTHER + b"Root Cause (first observed failure):" + _KILLED, FallenRank(1, 9), id="root cause"),
        pytest.param(
            _KILLED + b"Root Cause (first observed failure):" + _OTHER, None, id="killed for another's failure"
        ),
        pytest.param(b"Signal 9 (SIGKILL) received by PID 5613\n", None, id="somebody else's words"),
    ],
)
def test_the_process_that_torchrun_names_as_the_root_cause_is_known(
    tmp_path: Path, log: bytes, fallen: FallenRank | None
) -> None:
    assert tail_of(tmp_path, log).fallen == fallen
