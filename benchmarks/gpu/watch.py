"""What a run takes while it lasts, noted twice a second: memory of its processes, and how its trainings come on."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from processes import family, holdings

_PERIOD: Final = 0.5
_PROGRESS: Final = '{"kind":"progress"'
_FIRST_STEADY: Final = 4
"""The first step that counts as steady: TRL's kernels are compiled at the first three lengths."""


class Watch:
    """A record of the run that this process walks, as lines of JSON."""

    def __init__(self, file: Path, run: Path) -> None:
        """`run` is the run's folder. A record that is there is continued, since the run is too."""
        self._file = file
        self._run = run
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._note_all, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _note_all(self) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            print(json.dumps({"started": time.time()}), file=file, flush=True)
            while not self._ended.wait(_PERIOD):
                try:
                    seen = {"at": time.time(), **self._seen()}
                except Exception as error:  # noqa: BLE001 - a look that fails must not end all that follow
                    seen = {"failed": f"{type(error).__name__}: {error}"}
                print(json.dumps(seen), file=file, flush=True)

    def _seen(self) -> dict[str, Any]:
        members = family(os.getpid())
        roles = {member.process.pid: member.role for member in members}
        processes: list[dict[str, Any]] = []
        for member in members:
            # One that is gone has no file, and one that is going has no memory.
            with suppress(OSError, KeyError):
                processes.append({"pid": member.process.pid, "role": member.role, **_memory(member.process.pid)})
        held = [{"role": roles.get(each.pid, ""), "gpu": each.gpu, "mib": each.mib} for each in holdings()]
        return {"processes": processes, "held": held, "steps": self._steps()}

    def _steps(self) -> dict[str, int]:
        """How many steps each training has done, by its child."""
        found = {}
        for log in self._run.glob("children/*-dpo-*/*-0.log"):
            progress = newest_progress(log)
            if progress is not None and progress["unit"] == "steps" and progress.get("total"):
                found[log.parent.name] = progress["done"]
        return found


def _memory(pid: int) -> dict[str, int]:
    """Bytes that are resident, and those of them that are no file's; the largest of the former so far."""
    fields = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            fields[name] = int(value.split()[0]) << 10
    own = fields.get("RssAnon", 0) + fields.get("RssShmem", 0)
    return {"rss": fields["VmRSS"], "own": own, "peak": fields["VmHWM"]}


def newest_progress(log: Path) -> dict[str, Any] | None:
    """The newest progress line; None before the first."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - (64 << 10)))
        lines = file.read().decode(errors="replace").splitlines()
    whole = [line for line in lines if line.startswith(_PROGRESS) and line.endswith("}")]
    return json.loads(whole[-1]) if whole else None


@dataclass(frozen=True, slots=True)
class Watched:
    """A record that was made."""

    starts: list[float]
    """When the run was walked anew: more than one where it was cut off."""
    rows: list[dict[str, Any]]

    @classmethod
    def read(cls, file: Path) -> Watched:
        lines = list(_lines(file))
        return cls([line["started"] for line in lines if "started" in line], [line for line in lines if "at" in line])

    def within(self, window: tuple[float, float]) -> list[dict[str, Any]]:
        start, end = window
        return [row for row in self.rows if start <= row["at"] <= end]

    def interrupted(self, window: tuple[float, float]) -> bool:
        """Whether the run was walked anew within it, so that its seconds say nothing."""
        return any(window[0] <= start <= window[1] for start in self.starts[1:])

    def host(self, role: str, window: tuple[float, float]) -> dict[str, int]:
        """The most bytes that the processes of a role had at once, and that one of them had."""
        most = {"rss": 0, "own": 0, "largest": 0, "processes": 0}
        for row in self.within(window):
            found = [each for each in row["processes"] if each["role"] == role]
            most["rss"] = max(most["rss"], sum(each["rss"] for each in found))
            most["own"] = max(most["own"], sum(each["own"] for each in found))
            most["largest"] = max([most["largest"], *(each["peak"] for each in found)])
            most["processes"] = max(most["processes"], len(found))
        return most

    def held(self, role: str, window: tuple[float, float]) -> dict[str, float]:
        """The most MiB that a role's processes held of each GPU, by what the driver calls it."""
        most: dict[str, float] = {}
        for row in self.within(window):
            now: dict[str, float] = {}
            for each in row["held"]:
                if each["role"] == role:
                    now[each["gpu"]] = now.get(each["gpu"], 0.0) + each["mib"]
            most = {gpu: max(most.get(gpu, 0.0), now.get(gpu, 0.0)) for gpu in most | now}
        return most

    def steps_per_second(self, key: str, window: tuple[float, float]) -> float | None:
        """The speed of a step that trains, once kernels are compiled; None where too few of its steps were seen."""
        seen: list[tuple[float, int]] = []
        for row in self.within(window):
            done = max((done for child, done in row["steps"].items() if f"-{key}-a" in child), default=0)
            if done >= _FIRST_STEADY and (not seen or done > seen[-1][1]):
                seen.append((row["at"], done))
        if len(seen) < 2:
            return None
        return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            # The last may have been cut off with the run.
            with suppress(ValueError):
                yield json.loads(line)
