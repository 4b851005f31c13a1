"""The run's folder in the work directory: its resource on disk, and the lock that keeps a second runner out.

What the API server is to the operator, `status.json` is to the local walk: the whole resource, replaced
atomically and on the disk before anything is created on its word.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from selfreward.api import SelfRewardRun


class RunLocked(Exception):
    """Another runner walks this run; the message names its process id."""


class RecordUnreadable(Exception):
    """The record does not fit this version's resource."""


class RunFolder:
    """The folder of one run, `WORKDIR/NAME`."""

    def __init__(self, workdir: Path, name: str) -> None:
        self.path = workdir.resolve() / name

    @property
    def record(self) -> Path:
        return self.path / "status.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; the system lets go of it however the process ends.

        Raises RunLocked when another runner holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise RunLocked(
                    f"{self.path}: another runner (pid {holder}) walks this run: wait for it, stop it, or use "
                    "another --workdir"
                ) from error
            file.seek(0)
            file.truncate()
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def is_walked(self) -> bool:
        """Whether a runner holds the folder now."""
        try:
            with (self.path / "lock").open(encoding="utf-8") as file:
                os.kill(int(file.read()), 0)
                # The number may be another process's by now. Asked last: a runner that starts must find it free.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return True
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return False
        return False

    def load(self) -> SelfRewardRun | None:
        """The recorded run; None before the first. Raises RecordUnreadable."""
        try:
            return SelfRewardRun.model_validate_json(self.record.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise RecordUnreadable(
                f"{self.record}: not a record of this version ({error.error_count()} fields do not fit): remove it to "
                "start again; what is committed is found again"
            ) from error

    def save(self, run: SelfRewardRun) -> None:
        """Replace the record; on the disk when this returns."""
        new = self.record.with_name(f".{self.record.name}.{os.getpid()}")
        with new.open("wb") as file:
            file.write(run.model_dump_json(by_alias=True, exclude_none=True, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.record)
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def recorded(run: SelfRewardRun, old: SelfRewardRun | None) -> SelfRewardRun:
    """`run`, as the user's file has it, with the identity and the status of what was recorded.

    A changed spec is a new generation, as the API server counts them.
    """
    if old is None:
        metadata = run.metadata.model_copy(update={"uid": str(uuid.uuid4()), "generation": 1})
        return run.model_copy(update={"metadata": metadata})
    changed = run.spec != old.spec
    metadata = run.metadata.model_copy(
        update={"uid": old.metadata.uid, "generation": old.metadata.generation + (1 if changed else 0)}
    )
    return run.model_copy(update={"metadata": metadata, "status": old.status})
