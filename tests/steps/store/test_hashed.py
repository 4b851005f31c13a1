"""A file that was hashed on this machine is not hashed again, and one that was touched since is."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from selfreward_steps.errors import PermanentError
from selfreward_steps.store import open_store
from selfreward_steps.store.file_store import FileStore
from selfreward_steps.store.hashed import VARIABLE, Hashed
from selfreward_steps.store.manifest import FileEntry

from .small_files import FILES, write
from .stored_bytes import A

NAME = "pairs.jsonl"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose content a store has read."""
    found: list[str] = []
    chunks = FileStore._chunks

    def counted(self, manifest, entry):  # type: ignore[no-untyped-def]
        found.append(entry.name)
        return chunks(self, manifest, entry)

    monkeypatch.setattr(FileStore, "_chunks", counted)
    return found


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    """A store as a step of a local run opens it, with one artifact that it has just committed."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "hashed"))
    store = open_store((tmp_path / "store").as_uri())
    assert isinstance(store, FileStore)
    store.commit("m1", write(tmp_path / "new", FILES), inputs_digest=A, step="dpo")
    return store


def flip(path: Path) -> None:
    """Other content of the same size in the same file, with the time of its last change set back."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"2", b"5"))
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """Another file of the same size and time in its place."""
    before, other = path.stat(), path.with_name("other")
    other.write_bytes(path.read_bytes().replace(b"2", b"5"))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def test_what_was_just_written_is_not_read_again(store: FileStore, reads: list[str], tmp_path: Path) -> None:
    assert store.local_folder("m1", tmp_path / "scratch") == tmp_path / "store" / "m1"
    assert reads == []
    assert store.verify("m1") == []
    assert sorted(reads) == sorted(FILES)


def test_what_was_read_once_is_not_read_again_by_another_process(
    store: FileStore, reads: list[str], tmp_path: Path
) -> None:
    for expected in (len(FILES), len(FILES)):
        FileStore(tmp_path / "store", Hashed(tmp_path / "elsewhere")).local_folder("m1", tmp_path / "scratch")
        assert len(reads) == expected


@pytest.mark.parametrize("damage", [flip, replace])
def test_a_file_that_was_touched_is_hashed_and_refused(
    store: FileStore, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(tmp_path / "store" / "m1" / NAME)
    with pytest.raises(PermanentError, match=f"{NAME}: content"):
        store.local_folder("m1", tmp_path / "scratch")


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, FileEntry]:
    """A file as it was committed once, old enough to be known by its times."""
    manifest = FileStore(tmp_path / "store").commit("m1", write(tmp_path / "new", FILES), inputs_digest=A, step="dpo")
    time.sleep(0.03)
    (own,) = (each for each in manifest.files if each.name == NAME)
    return tmp_path / "store" / "m1" / NAME, own


def test_a_file_that_changes_while_it_is_hashed_is_hashed_again(tmp_path: Path, kept: tuple[Path, FileEntry]) -> None:
    hashed, (path, own) = Hashed(tmp_path / "hashed"), kept
    assert hashed.problem(path, own, lambda: flip(path)) is None
    assert not hashed.holds(path, own)


def test_of_a_file_that_was_only_just_written_nothing_is_remembered(
    tmp_path: Path, kept: tuple[Path, FileEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another write within the same tick of the clock would have the same times.
    hashed, (path, own) = Hashed(tmp_path / "hashed"), kept
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: path.stat().st_ctime_ns + 4_000_000)
        assert hashed.problem(path, own, lambda: None) is None
    assert not hashed.holds(path, own)
    assert hashed.problem(path, own, lambda: None) is None
    assert hashed.holds(path, own)


def test_a_file_that_is_gone_by_then_is_not_remembered(tmp_path: Path, kept: tuple[Path, FileEntry]) -> None:
    hashed, (path, own) = Hashed(tmp_path / "hashed"), kept
    path.unlink()
    hashed.add(path, own)
    assert hashed.problem(path, own, lambda: None) is None
    assert not hashed.holds(path, own)


def test_without_a_folder_every_read_is_hashed(
    store: FileStore, reads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    open_store((tmp_path / "store").as_uri()).local_folder("m1", tmp_path / "scratch")
    assert len(reads) == len(FILES)


@pytest.mark.parametrize("spoilt", [b"", b"{}", b'["nothing"]'])
def test_a_spoilt_note_costs_a_read(store: FileStore, reads: list[str], tmp_path: Path, spoilt: bytes) -> None:
    for note in (tmp_path / "hashed").iterdir():
        note.write_bytes(spoilt)
    store.local_folder("m1", tmp_path / "scratch")
    assert len(reads) == len(FILES)
