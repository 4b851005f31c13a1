"""A small parent for one process of the local cluster, so that nothing outlives its runner.

The runner holds the other end of standard input. When that ends, because the runner died in whatever way, the
process is stopped and everything it started is killed. Run by path with `python -I -S`: it must stay standard
library only and start in milliseconds, and it must not import the package it lies in.

Standard input: one line of JSON (the request), then any number of lines with a number: stop, and kill after so
many seconds. The record file says which process runs and, at the end, how it ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import sys
import time
from typing import Any

ORPHAN_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL once the runner is gone."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_WAKING = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)


def main() -> int:
    """Run the requested process to its end; returns the exit code a shell would report."""
    lines = _Lines(0)
    request = json.loads(lines.first())
    record = _Record(request["record"])
    wakeup = _wake_on_signals()
    # What the process starts and abandons becomes this process's child, so that it can be found and killed.
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    record.write()
    child = _spawn(request)
    record.write(child=child)
    status = _watch(child, lines, wakeup, record)
    _kill_all(child)
    code = os.waitstatus_to_exitcode(status)
    record.write(exit=code, finishedAt=time.time())
    return code if code >= 0 else 128 - code


class _Record:
    """The record file of the process, replaced as a whole at each change."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fields: dict[str, Any] = {"pid": os.getpid(), "startedAt": time.time()}

    def write(self, **fields: Any) -> None:
        self._fields.update(fields)
        new = f"{self._path}.{os.getpid()}"
        with open(new, "w", encoding="utf-8") as file:
            json.dump(self._fields, file)
        os.replace(new, self._path)


class _Lines:
    """Lines of a descriptor, read without a buffer that select could not see into."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.open = True
        self._rest = b""

    def first(self) -> bytes:
        """The first line, waiting for it; exits when the runner dies before it is whole."""
        while b"\n" not in self._rest:
            if not self._fill():
                raise SystemExit(1)
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def whole(self, *, fill: bool) -> list[bytes]:
        """The whole lines that have come, with `fill` after one more read; `open` turns False at the end."""
        if fill:
            self.open = self._fill()
        *lines, self._rest = self._rest.split(b"\n")
        return lines

    def _fill(self) -> bool:
        data = os.read(self.descriptor, 65536)
        self._rest += data
        return bool(data)


def _watch(child: int, lines: _Lines, wakeup: int, record: _Record) -> int:
    """Wait for the child to end, stopping it when told to; returns its wait status."""
    kill_at = float("inf")
    # Who starts a process and stops it at once sends both in one go: the order may have come with the request.
    grace = _asked(lines.whole(fill=False))
    while True:
        if grace is not None:
            record.write(stoppedAt=time.time(), orphaned=not lines.open)
            _signal(child, signal.SIGTERM)
            kill_at = min(kill_at, time.monotonic() + grace)
        if time.monotonic() >= kill_at:
            _signal(child, signal.SIGKILL)
            kill_at = float("inf")
        status = _reap(child)
        if status is not None:
            return status
        grace = _next_order(lines, wakeup, kill_at)


def _next_order(lines: _Lines, wakeup: int, until: float) -> float | None:
    """Wait for a child to end, for the time to kill, or for an order to stop, whose seconds of grace are returned."""
    timeout = None if until == float("inf") else max(0.0, until - time.monotonic())
    inputs = [wakeup, lines.descriptor] if lines.open else [wakeup]
    readable, _, _ = select.select(inputs, [], [], timeout)
    if wakeup in readable and any(number != signal.SIGCHLD for number in os.read(wakeup, 4096)):
        return ORPHAN_GRACE
    if lines.descriptor in readable:
        asked = _asked(lines.whole(fill=True))
        return asked if lines.open else ORPHAN_GRACE
    return None


def _asked(orders: list[bytes]) -> float | None:
    return float(orders[-1]) if orders else None


def _reap(child: int) -> int | None:
    """Collect every process that has ended, adopted ones too; the child's wait status when it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = status


def _kill_all(group: int) -> None:
    """Kill what the process left behind: its group, and on Linux every descendant in whatever session."""
    for _ in range(1000):
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
        left = _descendants(os.getpid())
        for pid in left:
            _signal(pid, signal.SIGKILL)
        _reap(group)
        if not left:
            return
        time.sleep(0.01)


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if name.isdigit():
            parent = _living_parent(name)
            if parent is not None:
                children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _living_parent(pid: str) -> int | None:
    """Parent of a process; None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state == b"Z" else int(parent)


def _spawn(request: dict[str, Any]) -> int:
    """Start the process in a session of its own, with its output in the log file; returns its pid.

    A command that cannot be started ends with 127 (not found) or 126, as in a shell, and says so in the log.
    """
    libc = ctypes.CDLL(None)
    parent = os.getpid()
    # An order to stop must not fall between the fork and the child's own handling of the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, _WAKING)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAKING)
        return pid
    try:
        os.setsid()
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for number in _WAKING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAKING)
        # Should this supervisor be killed, its process must not live on. Set last: a setuid program would clear it.
        if sys.platform == "linux":
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        os.chdir(request["cwd"])
        os.execvpe(request["argv"][0], request["argv"], request["env"])
    except OSError as error:
        os.write(2, f"{request['argv'][0]}: {error.strerror}\n".encode())
        os._exit(127 if error.errno == errno.ENOENT else 126)


def _wake_on_signals() -> int:
    """A descriptor that becomes readable when a child ends or this process is told to stop."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _WAKING:
        signal.signal(number, lambda *_: None)
    return reader


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
