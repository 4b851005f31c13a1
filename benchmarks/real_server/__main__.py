"""What the operator costs beside a real API server: `python benchmarks/real_server KUBE_BIN --runs 100,300,1000`.

etcd, kube-apiserver and kube-controller-manager are started on this machine; a player (player.py) stands in for
scheduler, kubelet and training operator. The real operator, `python -m selfreward.control`, walks a crowd of runs to
where each is in the middle of responding with five workloads, at each of the sizes, and then, beside the crowd, other
runs to their ends, whose hand-offs are timed: from the moment the API server has taken a step's success to the moment
it tells of the run's next child. Printed are, a line of JSON for each size: hand-offs, the operator's own histogram of
them, its memory, its share of a core and its requests a second, while the crowd alone is there. All of it shares the
machine: the share of a core is the operator's own, seconds are longer than on a cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "operator"), str(ROOT / "images"), str(ROOT / "tests")]

import psutil  # noqa: E402
from player import Player  # noqa: E402
from servers import OPERATOR, Servers, servers  # noqa: E402

RUNS: Final = "/apis/selfreward.dev/v1alpha1/namespaces/default/selfrewardruns"
WORKLOADS: Final = 5
"""Of a run in the middle of responding: import, prompts, the server, respond and, beside it, judge."""
CROWD: Final = "crowd"
WALKER: Final = "walker"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", type=Path, help="folder with kube-apiserver and kube-controller-manager")
    parser.add_argument("--runs", default="100,300,1000", help="sizes of the crowd")
    parser.add_argument("--walkers", type=int, default=24, help="runs that are walked to their end at each size")
    parser.add_argument("--at-a-time", type=int, default=4, help="of these, so many beside each other")
    parser.add_argument("--watch", type=float, default=90.0, help="seconds for which the crowd alone is watched")
    parser.add_argument("--port", type=int, default=16443, help="of the API server; the next three are taken too")
    given = parser.parse_args()
    sizes = [int(size) for size in given.runs.split(",")]
    with (
        tempfile.TemporaryDirectory(prefix="real-server-") as folder,
        servers(Path(folder), given.binaries, given.port) as made,
    ):
        asyncio.run(measure(made, sizes, given))
    return 0


async def measure(made: Servers, sizes: list[int], given: argparse.Namespace) -> None:
    """Measure at each size in turn, each with all runs of the one before."""
    player = Player(made, _holds, lambda run: run.startswith(WALKER))
    ready = asyncio.Event()
    playing = asyncio.create_task(player.run(ready))
    await ready.wait()
    operator = _operator(made, given.port + 4)
    try:
        there = 0
        for size in sizes:
            began = time.monotonic()
            for number in range(there, size):
                await _create(made, f"{CROWD}-{number:04d}")
            await _until(lambda at=size: _standing(player, at), playing)
            there, arrived = size, time.monotonic() - began
            await asyncio.sleep(35)  # what they have set off comes to rest: logs are read every 30 s
            found = {"runs": size, "secondsToCreate": round(arrived), **await _watched(made, operator, given.watch)}
            player.handoffs.clear()
            before = _handoffs(given.port + 4)
            busy = await _walk(made, player, size, given, operator, playing)
            print(
                json.dumps(found | busy | {"ownHistogram": _difference(before, _handoffs(given.port + 4))}), flush=True
            )
    finally:
        operator.terminate()
        operator.wait()
        playing.cancel()


def _holds(run: str, key: str, shard: int) -> bool:
    """The crowd stays in the middle of responding: one shard is done, and the judge of it waits."""
    return run.startswith(CROWD) and ((key.startswith("respond") and shard > 0) or key.startswith("judge"))


def _standing(player: Player, size: int) -> bool:
    crowd = [uids for run, uids in player.children.items() if run.startswith(CROWD)]
    return len(crowd) == size and all(len(uids) >= WORKLOADS for uids in crowd)


async def _until(holds: Any, playing: asyncio.Task[None], timeout: float = 1800) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        if playing.done():
            await playing
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(0.5)


async def _watched(made: Servers, operator: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    process = psutil.Process(operator.pid)
    first, at = process.cpu_times(), made.audit.stat().st_size
    began = time.monotonic()
    await asyncio.sleep(seconds)
    last, lasted = process.cpu_times(), time.monotonic() - began
    await asyncio.sleep(5)  # the audit log is written in batches
    with made.audit.open("rb") as file:
        file.seek(at)
        events = [json.loads(line) for line in file.read().splitlines() if line.endswith(b"}")]
    asked = Counter(_what(event) for event in events)
    cpu = last.user + last.system - first.user - first.system
    return {
        "rssMiB": round(process.memory_info().rss / 2**20),
        "coreShare": round(cpu / lasted, 3),
        "requestsPerSecond": round(sum(asked.values()) / (lasted + 5), 1),
        "requests": {what: count for what, count in asked.most_common(6)},
        "load": os.getloadavg()[0],
    }


def _what(event: dict[str, Any]) -> str:
    ref = event.get("objectRef") or {}
    parts = [event["verb"], ref.get("resource", event["requestURI"]), ref.get("subresource", "")]
    return " ".join(part for part in parts if part)


async def _walk(
    made: Servers,
    player: Player,
    size: int,
    given: argparse.Namespace,
    operator: subprocess.Popen[bytes],
    playing: asyncio.Task[None],
) -> dict[str, Any]:
    process = psutil.Process(operator.pid)
    first, began = process.cpu_times(), time.monotonic()
    names = [f"{WALKER}-{size}-{number}" for number in range(given.walkers)]
    while names:
        now, names = names[: given.at_a_time], names[given.at_a_time :]
        for name in now:
            await _create(made, name)
        while not await asyncio.to_thread(_have_finished, made, now):
            if playing.done():
                await playing
            await asyncio.sleep(1)
    last, lasted = process.cpu_times(), time.monotonic() - began
    told = sorted(player.handoffs)
    return {
        "handoffs": len(told),
        "p50": round(told[len(told) // 2], 3),
        "p90": round(told[len(told) * 9 // 10], 3),
        "p99": round(told[len(told) * 99 // 100], 3),
        "most": round(told[-1], 3),
        "coreShareWalking": round((last.user + last.system - first.user - first.system) / lasted, 3),
        "secondsWalking": round(lasted),
    }


def _have_finished(made: Servers, names: list[str]) -> bool:
    found = (made.ask("GET", f"{RUNS}/{name}").get("status") or {} for name in names)
    return all(status.get("finishedAt") for status in found)


async def _create(made: Servers, name: str) -> None:
    from control.bench import small_manifest

    manifest = small_manifest(made.folder, name, iterations=3)
    manifest["spec"]["deadlines"] = dict.fromkeys(("step", "start", "serving", "progress"), 86_400)
    await asyncio.to_thread(made.ask, "POST", RUNS, manifest)


def _operator(made: Servers, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "selfreward.control", "--no-leader-election", "--port", str(port)]
    paths = os.pathsep.join(str(ROOT / each) for each in ("operator", "images"))
    variables = {**os.environ, "KUBECONFIG": str(made.kubeconfig(OPERATOR)), "NO_PROXY": "*", "PYTHONPATH": paths}
    log = (made.folder / "operator.log").open("wb")
    return subprocess.Popen([*command, "--log-format", "text"], env=variables, stdout=log, stderr=subprocess.STDOUT)


def _handoffs(port: int) -> dict[str, float]:
    """The operator's own histogram: how many hand-offs took at most so many seconds."""
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    named = "selfreward_handoff_seconds_bucket{le="
    found = (line.removeprefix(named).split("} ") for line in lines if line.startswith(named))
    return {bound.strip('"'): float(count) for bound, count in found}


def _difference(before: dict[str, float], now: dict[str, float]) -> dict[str, int]:
    return {bound: int(count - before.get(bound, 0)) for bound, count in now.items()}


if __name__ == "__main__":
    sys.exit(main())
