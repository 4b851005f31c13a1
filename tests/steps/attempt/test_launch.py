"""One attempt from configuration to result: every way it can end, in a process of its own."""

import json
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from selfreward_steps.attempt.launch import MODULES
from selfreward_steps.contract import MAX_RESULT_BYTES, FailureClass, StepName
from steps.attempt.launching import LAUNCHED, Place, last_line


def test_a_step_commits_reports_and_cleans_up(place: Place) -> None:
    ended = place.launch("commits", place.config())
    assert (ended.returncode, ended.stderr) == (0, "")
    manifest = place.store.read_manifest("iteration-1/pairs")
    assert manifest is not None
    assert manifest.metadata == {"note": "kept", "metrics": {"pairs": 3.0, "spread": "nan"}}
    result = place.result()
    assert (result.succeeded, result.reason) == (True, "Committed")
    assert result.outputs == {"iteration-1/pairs": manifest.digest}
    assert result.metrics == {"pairs": 3.0}
    assert 0 < result.seconds < 60
    assert {"kind": "result", **json.loads(place.log.read_text())} == last_line(ended)
    progress = json.loads(ended.stdout.splitlines()[0])
    assert progress == {"kind": "progress", "done": 1, "total": 1, "unit": "pairs", "metrics": {"loss": 0.5}}
    assert (place.root / "marker").read_text() == "True", "after_commit runs once the manifest is there"
    assert [path for path in (place.root / "scratch").rglob("*") if path.is_file()] == []


def test_a_committed_step_is_not_run_again_whatever_does_not_change_its_output(place: Place) -> None:
    first = place.launch("commits", place.config())
    again = place.launch("bug", place.config(attempt=2), SELFREWARD_SCRATCH=str(place.root / "elsewhere"))
    assert (first.returncode, again.returncode) == (0, 0)
    assert last_line(again)["reason"] == "AlreadyCommitted"
    assert last_line(again)["outputs"] == last_line(first)["outputs"]


def test_another_setting_does_not_overwrite_what_is_committed(place: Place) -> None:
    place.launch("commits", place.config())
    ended = place.launch("commits", place.config(settings={"minMargin": 1}))
    assert ended.returncode == 64
    assert last_line(ended)["reason"] == "ArtifactConflict"


@pytest.mark.parametrize(
    ("behaviour", "code", "reason", "failure", "message"),
    [
        ("permanent", 64, "NoPairs", FailureClass.PERMANENT, "no two candidates differ"),
        ("bad_input", 64, "BadRows", FailureClass.PERMANENT, "iteration-1/pairs/pairs.jsonl, line 3: not JSON"),
        ("infrastructure", 69, "ServingUnavailable", FailureClass.INFRASTRUCTURE, "does not answer"),
        ("failed", 1, "JudgeNeverScores", FailureClass.APPLICATION, "0 of 12"),
        ("disk_full", 64, "DiskFull", FailureClass.PERMANENT, "/scratch/part-3: No space left on device: make room"),
        (
            "disk_full_in_words",
            64,
            "DiskFull",
            FailureClass.PERMANENT,
            "the step's scratch space: No space left on device",
        ),
    ],
)
def test_a_failure_is_one_line(
    place: Place, behaviour: str, code: int, reason: str, failure: FailureClass, message: str
) -> None:
    ended = place.launch(behaviour, place.config())
    assert ended.returncode == code
    assert (place.result().reason, place.result().failure_class) == (reason, failure)
    assert message in place.result().message
    assert ended.stderr == f"{reason}: {place.result().message}\n"
    assert str(place.root / "scratch") not in ended.stderr


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("no_library", "ImportError: libcudnn.so.9: cannot open shared object file"),
        ("no_library_of_a_library", "OSError: libcudart.so.12: cannot open shared object file"),
        ("no_package", "ModuleNotFoundError: No module named 'no_such_package'"),
    ],
)
def test_what_cannot_be_imported_is_not_tried_again(place: Place, behaviour: str, words: str) -> None:
    ended = place.launch(behaviour, place.config())
    assert ended.returncode == 64
    assert (place.result().reason, place.result().failure_class) == ("PackageMissing", FailureClass.PERMANENT)
    assert place.result().message.startswith(words)
    assert "make setup" in place.result().message
    assert "Traceback" in ended.stderr, "where it was imported"


def test_what_nobody_expected_keeps_its_traceback(place: Place) -> None:
    ended = place.launch("bug", place.config())
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert (place.result().reason, place.result().message) == ("Unexpected", "KeyError: 'rank'")


def test_a_step_that_forgets_to_commit_has_failed(place: Place) -> None:
    ended = place.launch("forgets", place.config())
    assert ended.returncode == 1
    assert "without committing iteration-1/pairs" in place.result().message


def test_a_result_has_no_key_in_it_and_is_utf_8(place: Place) -> None:
    ended = place.launch("repeats_a_key", place.config(), SELFREWARD_JUDGE_API_KEY="sk-12345678")
    assert place.result().message == r"ValueError: no such key: [secret], half \ud800 a pair"
    assert last_line(ended)["message"] == place.result().message


def test_a_long_message_fits_the_termination_log(place: Place) -> None:
    place.launch("long_message", place.config())
    assert place.log.stat().st_size <= MAX_RESULT_BYTES
    assert place.result().message.startswith("ééé")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"])
def test_a_signal_stops_cleanly(place: Place, number: signal.Signals, code: int) -> None:
    command = [sys.executable, str(LAUNCHED), "pairs", "sleeps"]
    with subprocess.Popen(
        command, env=place.environment(place.config()), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert time.monotonic() - started < 5
    assert "Traceback" not in errors
    assert (place.result().reason, place.result().failure_class) == ("Stopped", FailureClass.INFRASTRUCTURE)


def test_only_rank_zero_reports_success(place: Place) -> None:
    ended = place.launch("other_rank", place.config(), RANK="1")
    assert (ended.returncode, ended.stdout, place.log.exists()) == (0, "", False)


def test_the_rank_that_failed_is_the_one_reported(place: Place) -> None:
    command = [sys.executable, str(LAUNCHED), "pairs", "sleeps"]
    environment = place.environment(place.config(), RANK="0")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as zero:
        assert zero.stdout is not None
        zero.stdout.readline()
        failed = place.launch("permanent", place.config(), RANK="1")
        zero.terminate()  # as torchrun does once a rank has failed
        zero.communicate(timeout=20)
    assert (failed.returncode, zero.returncode) == (64, 143)
    assert (place.result().reason, place.result().failure_class) == ("NoPairs", FailureClass.PERMANENT)


def test_every_step_has_a_module() -> None:
    assert MODULES.keys() == set(StepName)
    missing = [name for name in MODULES.values() if find_spec(f"selfreward_steps.{name}") is None]
    assert missing == []


def test_the_frame_loads_no_heavy_library() -> None:
    code = (
        "import sys, selfreward_steps.attempt.launch; "
        "print({'torch', 'transformers', 'datasets', 'boto3', 'numpy'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"
