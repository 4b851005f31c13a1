"""Copies of an artifact: what is good is kept, what is another's is left alone, and many may fetch at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from selfreward_steps.errors import PermanentError
from selfreward_steps.store import Manifest, Store, StoreReason

from .small_files import FILES, read, write
from .stored_bytes import A, B


def test_fetch_takes_what_is_asked_for_and_keeps_what_is_good(
    store: Store, committed: Manifest, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    store.fetch("m1", copy, only=["*.jsonl"])
    assert read(copy) == {"pairs.jsonl": FILES["pairs.jsonl"]}
    kept = (copy / "pairs.jsonl").stat().st_ino
    store.fetch("m1", copy)
    assert read(copy) == FILES
    assert (copy / "pairs.jsonl").stat().st_ino == kept
    folder = copy.stat().st_ino
    store.fetch("m1", copy)
    assert copy.stat().st_ino == folder, "a folder that verifies is left alone"
    (copy / "pairs.jsonl").unlink()
    (copy / "pairs.jsonl").write_bytes(b"spoilt")
    store.fetch("m1", copy)
    assert read(copy) == FILES
    assert [path.name for path in tmp_path.glob(".fetch-*")] == [".fetch-copy.lock"]


def test_fetch_replaces_an_earlier_version_and_nothing_else(store: Store, committed: Manifest, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    store.fetch("m1", copy)
    store.delete("m1")
    store.commit("m1", write(tmp_path / "new", {"new.txt": b"new"}), inputs_digest=B, step="sft")
    store.fetch("m1", copy)
    assert read(copy) == {"new.txt": b"new"}
    store.delete("m1")
    same_files = store.commit("m1", tmp_path / "new", inputs_digest=A, step="sft")
    store.fetch("m1", copy)
    assert Manifest.from_json((copy / "manifest.json").read_bytes()) == same_files
    precious = write(tmp_path / "precious", {"thesis.tex": b"years"})
    with pytest.raises(PermanentError, match="precious is not an earlier copy of artifact m1") as caught:
        store.fetch("m1", precious)
    assert caught.value.reason == StoreReason.TARGET_OCCUPIED
    assert read(precious) == {"thesis.tex": b"years"}


def test_many_fetch_into_one_folder(store: Store, committed: Manifest, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: store.fetch("m1", copy), range(6)))
    assert found == [committed] * 6
    assert read(copy) == FILES
