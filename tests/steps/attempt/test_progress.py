"""Progress: rate limited, and silent when the step is."""

import io
import json
import time

import pytest
from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.contract import Progress


def lines(stream: io.StringIO) -> list[Progress]:
    return [Progress.model_validate_json(line) for line in stream.getvalue().splitlines()]


def test_a_burst_prints_its_first_and_its_last_update() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream, min_seconds=30) as progress:
        for done in range(100):
            progress.update(done, 100, "prompts", loss=done / 2)
    assert [line.done for line in lines(stream)] == [0, 99]
    assert lines(stream)[-1] == Progress(done=99, total=100, unit="prompts", metrics={"loss": 49.5})


def test_a_pending_update_is_printed_without_a_further_one() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream, min_seconds=0.05) as progress:
        progress.update(1)
        progress.update(2)
        deadline = time.monotonic() + 5
        while len(lines(stream)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [line.done for line in lines(stream)] == [1, 2]


def test_the_heartbeat_repeats_only_after_a_sign_of_life() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream, min_seconds=0.01, heartbeat_seconds=0.1) as progress:
        progress.update(7, 10, "steps")
        time.sleep(0.5)
        assert len(lines(stream)) == 1, "a step that shows no life must fall silent"
        deadline = time.monotonic() + 5
        while len(lines(stream)) < 4 and time.monotonic() < deadline:
            progress.alive()
            time.sleep(0.02)
    assert len(lines(stream)) >= 4
    assert {line.done for line in lines(stream)} == {7}


def test_a_busy_call_is_alive_while_the_process_works() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream, min_seconds=0.01, heartbeat_seconds=1) as progress, progress.busy():
        progress.update(7, 10, "steps")
        # As long as it takes: on a crowded machine a second may hold little work.
        deadline = time.monotonic() + 60
        while len(lines(stream)) < 2 and time.monotonic() < deadline:
            sum(range(10_000))
    assert len(lines(stream)) >= 2


def test_a_busy_call_that_hangs_falls_silent() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream, min_seconds=0.01, heartbeat_seconds=1) as progress, progress.busy():
        progress.update(7, 10, "steps")
        time.sleep(2.5)
    assert len(lines(stream)) == 1


def test_not_a_number_is_left_out_so_that_every_line_is_json() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream) as progress:
        progress.update(1, 2, "steps", loss=float("nan"), rate=3.0)
    assert json.loads(stream.getvalue())["metrics"] == {"rate": 3.0}


def test_an_update_that_names_no_metrics_keeps_the_newest() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream, min_seconds=30) as progress:
        progress.update(0, 2, "steps")
        progress.update(1, 2, "steps", loss=2.0, rate=3.0)
        progress.update(2, 2, "steps", rate=float("nan"))
        progress.update(2, 2, "steps")
    assert lines(stream)[-1].metrics == {"loss": 2.0}


def test_metrics_of_another_unit_are_not_kept() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream, min_seconds=30) as progress:
        progress.update(1, 2, "answers", tokens_per_second=5)
        progress.update(0, 9, "requests")
    assert lines(stream)[-1].metrics == {}


def test_another_rank_is_silent() -> None:
    stream = io.StringIO()
    with ProgressReporter(stream, enabled=False) as progress:
        progress.update(1)
    assert stream.getvalue() == ""


def test_a_reader_that_died_does_not_stop_the_work() -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    with ProgressReporter(Broken(), min_seconds=0) as progress:
        progress.update(1)
        progress.update(2)


@pytest.mark.parametrize("done", [-1])
def test_nonsense_is_refused(done: int) -> None:
    with ProgressReporter(io.StringIO()) as progress, pytest.raises(ValueError, match="done"):
        progress.update(done)
