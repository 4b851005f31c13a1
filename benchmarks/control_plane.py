"""What the operator costs: `python benchmarks/control_plane.py fleet --runs 500` and `… handoff --runs 10`.

On the tests' API server, over real HTTP and in real time. `fleet` starts the real process, `python -m
selfreward.control`, before a cluster that already holds that many finished runs with all their children, and prints
how long it takes to have looked at each, its memory, and its requests while nothing happens. `handoff` walks runs
side by side and prints the operator's own histogram `selfreward_handoff_seconds`: from the look that finds a step's
success to the creation of the next child. The API server shares the machine, and in `handoff` the process too, so
what is printed is more than a cluster of its own would take.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import looptime  # noqa: E402
import psutil  # noqa: E402
from control.bench import bench, run_manifest, small_manifest  # noqa: E402
from kube import FakeCluster  # noqa: E402
from kube.kinds import BY_NAME  # noqa: E402
from kube.storage import Object  # noqa: E402
from selfreward.control.metrics import Metrics  # noqa: E402

KINDS: Final = ("SelfRewardRun", "Job", "PyTorchJob", "Deployment", "ReplicaSet", "Pod", "Service", "Secret")
COUNT_SECONDS: Final = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("fleet", "handoff", "serve"))
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--idle", type=float, default=180.0, help="seconds to watch an idle fleet for")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        match given.what:
            case "serve":
                asyncio.run(serve(given.folder))
            case "handoff":
                report(asyncio.run(walked(Path(folder), given.runs)))
            case "fleet":
                fleet(Path(folder), given.runs, given.idle)
    return 0


async def walked(folder: Path, runs: int) -> Metrics:
    """Walk runs side by side, in real time, with one operator; its metrics."""
    async with bench(folder) as made:
        for index in range(runs):
            made.cluster.create(small_manifest(folder, f"run-{index}", iterations=3))
        operator = made.start()
        await asyncio.gather(*(made.finished(f"run-{index}", timeout=1800) for index in range(runs)))
        return operator.metrics


def report(metrics: Metrics) -> None:
    """The histogram of hand-offs: how many took at most so many seconds."""
    (family,) = metrics.handoff_seconds.collect()
    within = {each.labels["le"]: int(each.value) for each in family.samples if each.name.endswith("_bucket")}
    print(json.dumps({"handoffs": within["+Inf"], "withinSeconds": within}))


def fleet(folder: Path, runs: int, idle: float) -> None:
    """Start the operator before a cluster of finished runs, and print what it costs."""
    (folder / "objects.json").write_text(json.dumps(list(copies(template(folder), runs))))
    server = subprocess.Popen(
        [sys.executable, __file__, "serve", "--folder", str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    objects = json.loads(server.stdout.readline())["objects"]
    port = _free_port()
    command = [sys.executable, "-m", "selfreward.control", "--no-leader-election", "--port", str(port)]
    began = time.monotonic()
    environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig.yaml"), "NO_PROXY": "*"}
    operator = subprocess.Popen([*command, "--log-format", "text"], env=environment)
    try:
        while _looks(port) < runs:
            time.sleep(0.1)
        cold = time.monotonic() - began
        time.sleep(10)
        first = _count_at(server.stdout, time.monotonic())
        last = _count_at(server.stdout, time.monotonic() + idle)
        print(
            json.dumps(
                {
                    "runs": runs,
                    "objects": objects,
                    "coldStartSeconds": round(cold, 1),
                    "rssMiB": round(psutil.Process(operator.pid).memory_info().rss / 2**20),
                    "requestsPerSecond": round((last["requests"] - first["requests"]) / (last["at"] - first["at"]), 2),
                    "idleSeconds": round(last["at"] - first["at"]),
                }
            )
        )
    finally:
        for process in (operator, server):
            process.terminate()
            process.wait()


def template(folder: Path) -> list[Object]:
    """All objects of one finished run of the paper's whole graph, walked in virtual time."""

    async def walk() -> list[Object]:
        async with bench(folder) as made:
            made.cluster.create(run_manifest(folder, "demo", iterations=2))
            made.start()
            await made.finished()
            await made.cluster.idle(120)
            return [{**item, "kind": kind} for kind in KINDS for item in made.cluster.list(kind)]

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(walk())


def copies(objects: list[Object], runs: int) -> Iterator[Object]:
    """The same run under as many names, with uids of its own."""
    uids = [item["metadata"]["uid"] for item in objects]
    text = json.dumps(objects)
    for index in range(runs):
        copied = text.replace("demo", f"run-{index:04d}")
        for uid in uids:
            copied = copied.replace(uid, str(uuid.uuid5(uuid.NAMESPACE_OID, f"{uid}/{index}")))
        yield from json.loads(copied)


async def serve(folder: Path) -> None:
    """An API server that holds the objects and tells every second how many requests it has had."""
    async with FakeCluster(folder, controllers=False) as cluster:
        objects: list[dict[str, Any]] = json.loads((folder / "objects.json").read_text())
        for item in objects:
            cluster.api.storage.put(BY_NAME[item["kind"]], item)
        print(json.dumps({"objects": len(objects)}), flush=True)
        while True:
            await asyncio.sleep(COUNT_SECONDS)
            requests = len(cluster.requests.entries) + cluster.requests.discoveries
            print(json.dumps({"at": time.monotonic(), "requests": requests}), flush=True)


def _count_at(lines: TextIO, at: float) -> dict[str, float]:
    """The server's first count from that moment on; both processes read the same clock."""
    while True:
        count: dict[str, float] = json.loads(lines.readline())
        if count["at"] >= at:
            return count


def _looks(port: int) -> float:
    """How many looks at runs the operator has done."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except (OSError, urllib.error.URLError):
        return 0.0
    done = [line for line in lines if line.startswith('selfreward_reconciles_total{outcome="done"}')]
    return float(done[0].rpartition(" ")[2]) if done else 0.0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
