"""Commits that are killed with SIGKILL at every point where they touch the world, one after the other.

Run as a program by test_kills.py: `killed_commit.py URI FOLDER [ENDPOINT]`. It forks a child for each
point (before the n-th opening, making, renaming or removing of a file, or the n-th send on a connection),
looks at what the store says after the child's death, commits again, deletes, and prints one JSON line. It
ends when a child reached no more points and finished its commit.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from selfreward_steps.store import Store, open_store

POINTS = {"os.mkdir", "os.rename", "os.rmdir", "os.remove", "os.link", "http.client.send"}
INPUTS = "sha256:" + "a" * 64


def commit(store: Store, folder: Path) -> str:
    return store.commit("run/m1", folder, inputs_digest=INPUTS, step="sft").digest


def kill_at(number: int, uri: str) -> None:
    """Have this process killed at the `number`-th point from now; opening for writing is a point too."""
    left = number

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        writes = event == "open" and str(arguments[0]).startswith(uri) and bool(arguments[2] & os.O_CREAT)
        if event in POINTS or writes:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def child(number: int, store: Store, folder: Path) -> int:
    """The wait status of a process that commits and is killed at point `number`, if it gets that far."""
    pid = os.fork()
    if pid == 0:
        kill_at(number, store.uri.removeprefix("file://"))
        commit(store, folder)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def survey(store: Store, folder: Path) -> dict[str, object]:
    """In a process of its own, as the next attempt would be: what is there, and does a commit succeed."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        found = store.read_manifest("run/m1")
        report = {
            "committed": found is not None,
            "problems": [problem.detail for problem in store.verify("run/m1")] if found else [],
            "listed": store.artifacts(),
            "digest": commit(store, folder),
            "problems_after": [problem.detail for problem in store.verify("run/m1")],
            "leftovers": leftovers(store.uri),
        }
        store.delete("run")
        report["after_delete"] = [*leftovers(store.uri), *store.artifacts()]
        os.write(send, json.dumps(report).encode())
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    os.close(send)
    with os.fdopen(receive, "rb") as answer:
        report = json.loads(answer.read()) if status == 0 else {"survey_failed": status}
    return report


def leftovers(uri: str) -> list[str]:
    """Staging and trash in a folder store; in a bucket they are invisible by design."""
    root = Path(uri.removeprefix("file://")) if uri.startswith("file://") else None
    return [path.name for path in root.rglob(".*")] if root else []


def main(uri: str, folder: Path, endpoint: str | None) -> None:
    # Opened once, before the forks: it has no connection and no thread until it is used.
    store = open_store(uri, endpoint_url=endpoint)
    for number in range(1, 200):
        status = child(number, store, folder)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        report = {"point": number, "killed": killed, "status": status}
        print(json.dumps(report | survey(store, folder)), flush=True)
        if not killed:
            return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
