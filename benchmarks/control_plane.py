"""What the operator costs: `python benchmarks/control_plane.py fleet --runs 500`, `… handoff --runs 10` and so on.

On the tests' API server, over real HTTP and in real time. `fleet` starts the real process, `python -m
selfreward.control`, before a cluster that already holds that many finished runs with all their children, and prints
how long it takes to have looked at each, its memory, and its requests while nothing happens. `unfinished` is `fleet`
with runs in the middle of responding, whose artifacts lie in a bucket of an S3 server (moto). `handoff` walks runs side
by side and prints the operator's own histogram `selfreward_handoff_seconds`: from the look that finds a step's success
to the creation of the next child. The API server shares the machine, and in `handoff` the process too, so what is
printed is more than a cluster of its own would take.
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
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TextIO

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import boto3  # noqa: E402
import looptime  # noqa: E402
import psutil  # noqa: E402
from botocore.config import Config  # noqa: E402
from control.bench import bench, run_manifest, small_manifest, status_of  # noqa: E402
from kube import Behaviour, FakeCluster  # noqa: E402
from kube.kinds import BY_NAME  # noqa: E402
from kube.storage import Object  # noqa: E402
from selfreward.api import RunStatus, StepState  # noqa: E402
from selfreward.control.metrics import Metrics  # noqa: E402

KINDS: Final = ("SelfRewardRun", "Job", "PyTorchJob", "Deployment", "ReplicaSet", "Pod", "Service", "Secret")
COUNT_SECONDS: Final = 1.0
_PATIENT: Final = {"step": 10**8, "start": 10**8, "serving": 10**8, "progress": 10**8}
"""The runs were walked in virtual time, which is another day."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("fleet", "unfinished", "handoff", "serve"))
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
                fleet(Path(folder), finished(Path(folder)), given.runs, given.idle)
            case "unfinished":
                with bucket(Path(folder), given.runs) as (template, options, environment):
                    fleet(Path(folder), template, given.runs, given.idle, options, environment)
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


def fleet(
    folder: Path,
    template: list[Object],
    runs: int,
    idle: float,
    options: Sequence[str] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Start the operator before a cluster that holds so many copies of a run, and print what it costs."""
    (folder / "objects.json").write_text(json.dumps(list(copies(template, runs))))
    server = subprocess.Popen(
        [sys.executable, __file__, "serve", "--folder", str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    objects = json.loads(server.stdout.readline())["objects"]
    port = _free_port()
    command = [sys.executable, "-m", "selfreward.control", "--no-leader-election", "--port", str(port), *options]
    began = time.monotonic()
    variables = {**os.environ, **environment, "KUBECONFIG": str(folder / "kubeconfig.yaml"), "NO_PROXY": "*"}
    operator = subprocess.Popen([*command, "--log-format", "text"], env=variables)
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


def finished(folder: Path) -> list[Object]:
    """All objects of one finished run of the paper's whole graph, walked in virtual time."""
    return walk(folder, "finished")


def walk(folder: Path, until: str) -> list[Object]:
    """All objects of a run in the middle of a step, or when it has `finished`."""

    async def walked_until() -> list[Object]:
        async with bench(folder) as made:
            made.cluster.playbook.on(key=until, does=Behaviour(runs=10_000))
            made.cluster.create(run_manifest(folder, "demo", iterations=2, deadlines=_PATIENT))
            made.start()
            if until == "finished":
                await made.finished()
            else:
                await made.cluster.until(lambda: _runs(status_of(made.cluster), until), 3600)
            await made.cluster.idle(120)
            return [{**item, "kind": kind} for kind in KINDS for item in made.cluster.list(kind)]

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(walked_until())


def _runs(status: RunStatus, key: str) -> bool:
    return any(row.key == key and row.state is StepState.RUNNING for each in status.iterations for row in each.steps)


@contextmanager
def bucket(folder: Path, runs: int) -> Iterator[tuple[list[Object], list[str], dict[str, str]]]:
    """A run in the middle of responding, whose copies have their artifacts in a bucket; what the operator is told."""
    objects = walk(folder, "respond-1")
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.update(environment)
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _fill(endpoint, folder / "store/namespace=default/demo", runs)
        text = json.dumps(objects).replace(f"file://{folder}/store", "s3://bench/runs")
        template: list[Object] = json.loads(text)
        for item in template:
            if item["kind"] == "SelfRewardRun":
                item["spec"]["storage"] = {"uri": "s3://bench/runs", "endpointUrl": endpoint}
        yield template, ["--storage-endpoints", endpoint], environment
    finally:
        server.terminate()
        server.wait()


def _fill(endpoint: str, run: Path, runs: int) -> None:
    """The artifacts of the run under the names of its copies; of a manifest alone an operator reads anything."""
    client = boto3.client("s3", endpoint_url=endpoint, config=Config(retries={"max_attempts": 20}))
    client.create_bucket(Bucket="bench")
    manifests = {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("manifest.json")}
    with ThreadPoolExecutor(8) as threads:
        names = [
            (f"runs/namespace=default/run-{index:04d}/{name}", name) for index in range(runs) for name in manifests
        ]
        list(threads.map(lambda each: client.put_object(Bucket="bench", Key=each[0], Body=manifests[each[1]]), names))


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
