"""The journal: what was appended comes back after a kill, in bounded memory, on both kinds of store."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from selfreward_steps.errors import InfrastructureError
from selfreward_steps.store import Store, StoreReason
from selfreward_steps.store.file_store import FileStore
from selfreward_steps.store.s3_journal import S3Journal
from selfreward_steps.store.s3_store import S3Store

from .fault_proxy import ALWAYS, Faults, fault_proxy, hold, lose_answer, refuse
from .stored_bytes import A, B, everything

NAME = "iteration-1/judge/shard-00003"


def numbers(store: Store, inputs: str = A, name: str = NAME) -> list[object]:
    return [record["n"] for record in store.journal(name, inputs_digest=inputs).records()]


def test_records_come_back_to_the_next_attempt(store: Store) -> None:
    assert numbers(store) == []
    for attempt in range(3):
        with store.journal(NAME, inputs_digest=A) as journal:
            before = [record["n"] for record in journal.records()]
            assert before == list(range(attempt * 10))
            for n in range(attempt * 10, attempt * 10 + 10):
                journal.append({"n": n, "text": "zwei\nZeilen\u2028 \ud83d", "nested": {"score": 4.5}})
    assert numbers(store) == list(range(30))
    last = list(store.journal(NAME, inputs_digest=A).records())[-1]
    assert last == {"n": 29, "text": "zwei\nZeilen\u2028 \ud83d", "nested": {"score": 4.5}}


def test_flush_makes_records_visible_to_others(store: Store) -> None:
    journal = store.journal(NAME, inputs_digest=A)
    journal.append({"n": 1})
    journal.flush()
    assert numbers(store) == [1]
    journal.flush()
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match="closed journal"):
        journal.append({"n": 2})
    assert numbers(store) == [1]


def test_journals_are_apart(store: Store) -> None:
    cases = {(NAME, A): 1, (NAME, B): 2, ("iteration-1/judge", A): 3, (NAME + "0", A): 4}
    for (name, inputs), n in cases.items():
        with store.journal(name, inputs_digest=inputs) as journal:
            journal.append({"n": n})
    assert {key: numbers(store, key[1], key[0]) for key in cases} == {key: [n] for key, n in cases.items()}
    store.journal("iteration-1/judge", inputs_digest=A).discard()
    assert numbers(store, name="iteration-1/judge") == []
    assert numbers(store) == [1]
    store.journal(NAME, inputs_digest=B).discard()
    assert (numbers(store), numbers(store, B)) == ([], [])
    assert numbers(store, name=NAME + "0") == [4]
    store.delete("iteration-1")
    assert [name for name in everything(store) if "journal" in name] == []


def test_discarding_takes_what_was_just_appended(store: Store) -> None:
    journal = store.journal(NAME, inputs_digest=A)
    journal.append({"n": 1})
    journal.discard()
    assert numbers(store) == []
    with pytest.raises(ValueError, match="closed journal"):
        journal.append({"n": 2})
    store.journal(NAME, inputs_digest=A).discard()


def test_journals_are_no_artifacts(store: Store) -> None:
    with store.journal(NAME, inputs_digest=A) as journal:
        journal.append({"n": 1})
    assert store.artifacts() == []


def test_two_attempts_at_once_do_not_mix(store: Store) -> None:
    one, two = (store.journal(NAME, inputs_digest=A) for _ in range(2))
    for n in range(20):
        one.append({"n": n})
        two.append({"n": n + 100})
    one.close()
    two.close()
    assert sorted(numbers(store), key=str) == sorted([*range(20), *range(100, 120)], key=str)


def test_many_threads_append(store: Store) -> None:
    with store.journal(NAME, inputs_digest=A) as journal, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: journal.append({"n": n, "text": "x" * 2000}), range(400)))
    found = numbers(store)
    assert len(found) == 400
    assert set(found) == set(range(400))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_record_must_be_json(store: Store, bad: float) -> None:
    with store.journal(NAME, inputs_digest=A) as journal, pytest.raises(ValueError, match="Out of range float"):
        journal.append({"score": bad})


@pytest.mark.parametrize("inputs", ["", "sha256:abc", "md5:" + "a" * 64])
def test_a_journal_needs_a_digest(store: Store, inputs: str) -> None:
    with pytest.raises(ValueError, match="not an inputs digest"):
        store.journal(NAME, inputs_digest=inputs)


@pytest.mark.parametrize(
    ("tail", "dropped"),
    [
        pytest.param(b'{"n": 2', 1, id="torn"),
        pytest.param(b'{"n": 2}', 1, id="torn-before-its-newline"),
        pytest.param(b"\x00\x00\x00\x00", 1, id="zeroes-of-a-power-failure"),
        pytest.param(b'{"n"\n{"n": 2}\n', 1, id="bad-line-in-the-middle"),
        pytest.param(b"[2]\n", 1, id="not-a-record"),
        pytest.param(b"", 0, id="whole"),
    ],
)
def test_a_torn_line_is_dropped(tmp_path: Path, tail: bytes, dropped: int) -> None:
    store = FileStore(tmp_path)
    with store.journal(NAME, inputs_digest=A) as journal:
        journal.append({"n": 1})
    (path,) = (tmp_path / ".journals").rglob("*.jsonl")
    path.write_bytes(path.read_bytes() + tail)
    with store.journal(NAME, inputs_digest=A) as journal:
        expected = [1, 2] if tail.endswith(b"2}\n") else [1]
        assert [record["n"] for record in journal.records()] == expected
        assert journal.dropped == dropped
        journal.append({"n": 3})
        assert [record["n"] for record in journal.records()] == [*expected, 3]


KILLED_WRITER = """
import os, signal, sys
from selfreward_steps.store import open_store
store = open_store(sys.argv[1], endpoint_url=sys.argv[2] or None)
journal = store.journal("judge", inputs_digest="sha256:" + "a" * 64)
for n in range(50):
    journal.append({"n": n})
if sys.argv[2]:
    journal.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_killed_process_loses_nothing_it_finished(
    request: pytest.FixtureRequest, tmp_path: Path, s3_prefix: str, kind: str
) -> None:
    endpoint = request.getfixturevalue("s3_endpoint") if kind == "s3" else ""
    uri = f"s3://artifacts/{s3_prefix}" if endpoint else tmp_path.as_uri()
    done = subprocess.run([sys.executable, "-c", KILLED_WRITER, uri, endpoint], timeout=60)
    assert done.returncode == -signal.SIGKILL
    store = request.getfixturevalue("s3_store_at")(endpoint) if endpoint else FileStore(tmp_path)
    assert numbers(store, name="judge") == list(range(50))


@pytest.fixture
def faults(s3_port: int) -> Iterator[Faults]:
    with fault_proxy(s3_port) as proxy:
        yield proxy


@pytest.fixture
def bucket_store(faults: Faults, s3_store_at: Callable[..., S3Store]) -> S3Store:
    return s3_store_at(faults.endpoint)


def parts_put(faults: Faults) -> int:
    return sum(line.startswith("PUT") and ".jsonl" in line for line in faults.seen)


def test_records_gather_while_one_part_is_on_its_way(bucket_store: S3Store, faults: Faults) -> None:
    """Group commit: the first record goes at once, the rest as one part, and append never waits."""
    reached, go = threading.Event(), threading.Event()
    faults.add("PUT", ".jsonl", hold(reached, go))
    journal = bucket_store.journal(NAME, inputs_digest=A)
    journal.append({"n": 0})
    assert reached.wait(10)
    for n in range(1, 200):
        journal.append({"n": n})
    go.set()
    journal.close()
    assert parts_put(faults) == 2
    assert numbers(bucket_store) == list(range(200))


def test_a_part_that_cannot_be_stored_is_told_and_tried_again(bucket_store: S3Store, faults: Faults) -> None:
    journal = bucket_store.journal(NAME, inputs_digest=A)
    faults.add("PUT", ".jsonl", refuse(503, "SlowDown"), times=ALWAYS)
    journal.append({"n": 0})
    with pytest.raises(InfrastructureError, match="503 SlowDown") as caught:
        journal.flush()
    assert caught.value.reason == StoreReason.UNAVAILABLE
    assert numbers(bucket_store) == []
    faults.clear()
    journal.append({"n": 1})
    journal.close()
    assert numbers(bucket_store) == [0, 1]


def test_an_error_surfaces_on_the_next_append(bucket_store: S3Store, faults: Faults) -> None:
    journal = bucket_store.journal(NAME, inputs_digest=A)
    faults.add("PUT", ".jsonl", refuse(500, "InternalError"), times=ALWAYS)

    def keep_appending() -> None:
        for n in range(10_000):
            journal.append({"n": n})
            time.sleep(0.005)

    with pytest.raises(InfrastructureError):
        keep_appending()
    with pytest.raises(InfrastructureError):
        journal.close()
    with pytest.raises(ValueError, match="closed"):
        journal.flush()


def test_a_part_whose_answer_is_lost_comes_once(bucket_store: S3Store, faults: Faults) -> None:
    faults.add("PUT", ".jsonl", lose_answer)
    with bucket_store.journal(NAME, inputs_digest=A) as journal:
        journal.append({"n": 0})
        journal.flush()
        journal.append({"n": 1})
    assert numbers(bucket_store) == [0, 1]


def test_append_waits_when_the_bucket_lags(bucket_store: S3Store, faults: Faults) -> None:
    """Memory stays bounded: more than the limit waiting makes append wait until it is stored."""
    journal = S3Journal(bucket_store._bucket, bucket_store._root + ".journals/slow/.0", waiting_bytes=1000)

    def append_four() -> None:
        for n in range(4):
            journal.append({"n": n, "text": "x" * 400})

    reached, go = threading.Event(), threading.Event()
    faults.add("PUT", ".jsonl", hold(reached, go))
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(append_four)
        assert reached.wait(10)
        with pytest.raises(TimeoutError):
            late.result(0.3)
        go.set()
        late.result(10)
    journal.close()
    assert [record["n"] for record in journal.records()] == [0, 1, 2, 3]


def test_many_parts_are_read_in_order(bucket_store: S3Store) -> None:
    with bucket_store.journal(NAME, inputs_digest=A) as journal:
        for n in range(30):
            journal.append({"n": n})
            journal.flush()
    assert numbers(bucket_store) == list(range(30))
    records = bucket_store.journal(NAME, inputs_digest=A).records()
    assert next(records)["n"] == 0
    records.close()  # type: ignore[attr-defined]


def test_a_file_journal_survives_without_flush(tmp_path: Path) -> None:
    """Each append is with the kernel when it returns."""
    store = FileStore(tmp_path)
    journal = store.journal(NAME, inputs_digest=A)
    journal.append({"n": 7})
    assert numbers(store) == [7]
    assert len(os.listdir(tmp_path / ".journals" / NAME)) == 1
    journal.close()
