"""Finished rows: in order whatever came first, kept over restarts, and on disk rather than in memory."""

import asyncio
import tracemalloc
from pathlib import Path

import pytest
from bench import Bench
from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.errors import StepFailed
from selfreward_steps.store import Journal
from selfreward_steps.store.digests import digest_of


def journal(bench: Bench, inputs: str = "a") -> Journal:
    return bench.store.journal("rows", inputs_digest=digest_of(inputs))


def fill(finished: FinishedRows, indices: list[int]) -> None:
    async def add() -> None:
        for index in indices:
            await finished.add(index, {"n": index, "text": f"é\n{index}"})

    asyncio.run(add())


def test_rows_come_out_in_order(bench: Bench, tmp_path: Path) -> None:
    with FinishedRows(journal(bench), tmp_path / "spool", 4) as finished:
        fill(finished, [2, 0, 3, 1])
        finished.write(tmp_path / "rows.jsonl")
        assert [row["n"] for row in finished.rows()] == [0, 1, 2, 3]
        assert finished.row(2) == {"n": 2, "text": "é\n2"}
    assert (tmp_path / "rows.jsonl").read_text().splitlines()[1] == '{"n": 1, "text": "é\\n1"}'


def test_a_restart_finds_what_was_finished(bench: Bench, tmp_path: Path) -> None:
    with FinishedRows(journal(bench), tmp_path / "spool", 4) as finished:
        fill(finished, [3, 1])
        assert finished.recovered == 0
    (tmp_path / "spool").unlink()
    with FinishedRows(journal(bench), tmp_path / "other", 4) as again:
        assert again.recovered == again.count == 2
        assert [index for index in range(4) if index in again] == [1, 3]
        fill(again, [0, 3, 2])
        assert again.count == 4
        assert [row["n"] for row in again.rows()] == [0, 1, 2, 3]


def test_rows_of_other_inputs_are_not_ours(bench: Bench, tmp_path: Path) -> None:
    with FinishedRows(journal(bench), tmp_path / "spool", 4) as finished:
        fill(finished, [3, 1])
    with FinishedRows(journal(bench, "b"), tmp_path / "spool", 4) as other:
        assert other.count == 0


def test_a_missing_row_is_never_written_around(bench: Bench, tmp_path: Path) -> None:
    with FinishedRows(journal(bench), tmp_path / "spool", 3) as finished:
        fill(finished, [0, 2])
        with pytest.raises(StepFailed, match="row 1 of 3 was never finished"):
            finished.write(tmp_path / "rows.jsonl")
        with pytest.raises(KeyError):
            finished.row(1)


def test_a_discarded_journal_leaves_nothing_behind(bench: Bench, tmp_path: Path) -> None:
    kept = journal(bench)
    with FinishedRows(kept, tmp_path / "spool", 3) as finished:
        fill(finished, [0])
    kept.discard()
    with FinishedRows(journal(bench), tmp_path / "spool", 3) as again:
        assert again.count == 0


def test_memory_does_not_grow_with_the_rows(bench: Bench, tmp_path: Path) -> None:
    long = "x" * 20_000

    async def add(finished: FinishedRows) -> None:
        for index in range(1000):
            await finished.add(index, {"text": long})

    with FinishedRows(journal(bench), tmp_path / "spool", 1000) as finished:
        tracemalloc.start()
        asyncio.run(add(finished))
        finished.write(tmp_path / "rows.jsonl")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (tmp_path / "rows.jsonl").stat().st_size > 20_000_000
    assert peak < 4_000_000
