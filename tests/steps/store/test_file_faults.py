"""A folder store on a volume that is full, read-only or shared with other attempts."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError
from selfreward_steps.store import StoreReason, disk, open_store
from selfreward_steps.store.disk import disk_errors
from selfreward_steps.store.file_store import FileStore
from selfreward_steps.store.staging import Staging

from .stored_bytes import A, B, everything


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    folder.mkdir()
    for name in ("a.bin", "b.bin", "c.bin"):
        (folder / name).write_bytes(name.encode() * 50_000)
    return folder


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A real volume of 1 MiB and 12 files, where this process may mount one."""
    mountpoint = tmp_path / "volume"
    mountpoint.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=12", "tmpfs", str(mountpoint)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("may not mount here: the tests without a volume below cover the same paths")
    try:
        yield mountpoint
    finally:
        subprocess.run(["umount", str(mountpoint)], check=True)


def test_a_full_volume_is_seen_before_copying(volume: Path, output: Path) -> None:
    store = FileStore(volume / "store")
    (output / "large.bin").write_bytes(bytes(2 << 20))
    with pytest.raises(PermanentError, match=r"volume/store: \d+ bytes are needed and \d+ bytes are free") as caught:
        store.commit("m1", output, inputs_digest=A, step="sft")
    assert (caught.value.reason, caught.value.exit_code) == (StoreReason.DISK_FULL, 64)
    assert everything(store) == []


def test_a_volume_that_fills_up_while_copying(volume: Path, output: Path) -> None:
    """Bytes are free but files are not, so the kernel says ENOSPC in the middle."""
    store = FileStore(volume / "store")
    for number in range(6):
        (volume / f"other-{number}").touch()
    with pytest.raises(PermanentError, match=r"No space left on device, \d+ bytes free") as caught:
        store.commit("m1", output, inputs_digest=A, step="sft")
    assert caught.value.reason == StoreReason.DISK_FULL
    assert everything(store) == []
    for number in range(6):
        (volume / f"other-{number}").unlink()
    store.commit("m1", output, inputs_digest=A, step="sft")
    assert store.verify("m1") == []


def test_fetching_to_a_full_volume(volume: Path, tmp_path: Path, output: Path) -> None:
    store = FileStore(tmp_path / "store")
    (output / "large.bin").write_bytes(bytes(2 << 20))
    store.commit("m1", output, inputs_digest=A, step="sft")
    with pytest.raises(PermanentError, match="bytes are free") as caught:
        store.fetch("m1", volume / "copy")
    assert caught.value.reason == StoreReason.DISK_FULL
    assert [path.name for path in volume.iterdir()] == [".fetch-copy.lock"]


def test_a_journal_goes_on_once_there_is_room(volume: Path) -> None:
    store = FileStore(volume)
    journal = store.journal("judge", inputs_digest=A)
    journal.append({"n": 0})
    stopper = volume / "stopper"
    fill(stopper)
    with pytest.raises(PermanentError, match="No space left on device") as caught:
        journal.append({"n": 1, "text": "x" * 10_000})
    assert caught.value.reason == StoreReason.DISK_FULL
    stopper.unlink()
    journal.append({"n": 2})
    journal.close()
    assert [record["n"] for record in store.journal("judge", inputs_digest=A).records()] == [0, 2]


def fill(path: Path) -> None:
    def write_on() -> None:
        while file.write(bytes(4096)):
            pass

    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        write_on()


def test_too_little_room_is_seen_before_copying(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: Path) -> None:
    store = FileStore(tmp_path / "store")
    store.commit("m0", output, inputs_digest=A, step="import")
    monkeypatch.setattr(disk, "free_bytes", lambda path: 4096)
    with pytest.raises(PermanentError, match="needed and 4096 bytes are free"):
        store.commit("m1", output, inputs_digest=A, step="sft")
    with pytest.raises(PermanentError, match="needed and 4096 bytes are free"):
        store.fetch("m0", tmp_path / "copy")
    assert store.artifacts() == ["m0"]
    assert not (tmp_path / "copy").exists()


def test_half_a_record_is_taken_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    journal = store.journal("judge", inputs_digest=A)
    journal.append({"n": 0})
    write = os.write
    answers = iter([True, False])

    def half_then_full(descriptor: int, content: memoryview) -> int:
        if next(answers):
            return write(descriptor, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half_then_full)
        with pytest.raises(PermanentError, match="No space left") as caught:
            journal.append({"n": 1})
    assert caught.value.reason == StoreReason.DISK_FULL
    journal.append({"n": 2})
    journal.close()
    assert [record["n"] for record in store.journal("judge", inputs_digest=A).records()] == [0, 2]


@pytest.mark.parametrize(
    ("number", "kind", "reason"),
    [
        pytest.param(errno.ENOSPC, PermanentError, StoreReason.DISK_FULL, id="full"),
        pytest.param(errno.EDQUOT, PermanentError, StoreReason.DISK_FULL, id="quota"),
        pytest.param(errno.EROFS, PermanentError, StoreReason.ACCESS_DENIED, id="read-only"),
        pytest.param(errno.EACCES, PermanentError, StoreReason.ACCESS_DENIED, id="denied"),
        pytest.param(errno.ENOTDIR, PermanentError, StoreReason.MISCONFIGURED, id="not-a-folder"),
        pytest.param(errno.ENAMETOOLONG, PermanentError, StoreReason.MISCONFIGURED, id="too-long"),
        pytest.param(errno.EIO, InfrastructureError, StoreReason.UNAVAILABLE, id="io"),
        pytest.param(errno.ESTALE, InfrastructureError, StoreReason.UNAVAILABLE, id="stale"),
        pytest.param(errno.ETIMEDOUT, InfrastructureError, StoreReason.UNAVAILABLE, id="timeout"),
    ],
)
def test_errno(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    output: Path,
    number: int,
    kind: type[StepError],
    reason: StoreReason,
) -> None:
    """Whatever the volume says when the data are forced to it, nothing is published and it is told why."""
    store = FileStore(tmp_path / "store")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(kind) as caught:
            store.commit("m1", output, inputs_digest=A, step="sft")
    assert caught.value.reason == reason
    assert str(tmp_path / "store") in str(caught.value)
    assert everything(store) == []
    assert store.commit("m1", output, inputs_digest=A, step="sft") == store.read_manifest("m1")


def test_a_root_that_is_a_file(tmp_path: Path, output: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    store = open_store((tmp_path / "taken").as_uri())
    with pytest.raises(PermanentError) as caught:
        store.commit("m1", output, inputs_digest=A, step="sft")
    assert caught.value.exit_code == 64
    assert str(tmp_path / "taken") in str(caught.value)


def test_a_folder_with_strange_files_is_not_overwritten(tmp_path: Path, output: Path) -> None:
    store = FileStore(tmp_path / "store")
    (store.root / "m1").mkdir(parents=True)
    (store.root / "m1" / "notes.txt").write_text("mine")
    with pytest.raises(PermanentError, match="holds files that no step committed") as caught:
        store.commit("m1", output, inputs_digest=A, step="sft")
    assert caught.value.reason == StoreReason.CONFLICT
    assert everything(store) == ["m1/notes.txt"]


def test_a_race_is_decided_by_the_rename(tmp_path: Path, output: Path) -> None:
    """The winner commits while the loser is between its last look and its rename."""
    store = FileStore(tmp_path / "store")
    with Staging(store.root / "m1") as loser:
        loser.write("loser.txt", b"loser")
        winner = store.commit("m1", output, inputs_digest=A, step="sft")
        assert loser.publish() is False
    assert store.read_manifest("m1") == winner
    assert store.verify("m1") == []
    assert not list(store.root.glob(".*"))


def test_a_live_attempt_is_not_cleaned_away(tmp_path: Path, output: Path) -> None:
    store = FileStore(tmp_path / "store")
    with Staging(store.root / "m1") as live:
        live.write("live.txt", b"live")
        store.commit("m1", output, inputs_digest=A, step="sft")
        assert len(list(store.root.glob(".staging-m1.*"))) == 1
    assert not list(store.root.glob(".*"))


def test_deletion_takes_a_live_attempt_with_it(tmp_path: Path) -> None:
    """After delete nothing may appear: the attempt that was under way fails, and says why."""
    store = FileStore(tmp_path / "store")
    with Staging(store.root / "m1") as live:
        live.write("live.txt", b"live")
        store.delete("m1")
        with pytest.raises(InfrastructureError, match="removed by another process"), disk_errors(store.root):
            live.publish()
    assert everything(store) == []


def test_committed_files_are_read_only(tmp_path: Path, output: Path) -> None:
    store = FileStore(tmp_path / "store")
    store.commit("m1", output, inputs_digest=A, step="sft")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (store.root / "m1").iterdir()}
    assert set(modes.values()) == {0o444}
    assert (store.root / "m1").stat().st_mode & 0o700 == 0o700
    assert os.access(output / "a.bin", os.W_OK), "the step's own folder is not touched"


def test_a_path_with_spaces(tmp_path: Path, output: Path) -> None:
    store = open_store((tmp_path / "my run ü").as_uri() + "/")
    store.commit("m1", output, inputs_digest=B, step="sft")
    assert (tmp_path / "my run ü" / "m1" / "a.bin").exists()
    assert store.uri.endswith("/my%20run%20%C3%BC")
    assert open_store(store.uri).artifacts() == ["m1"]
