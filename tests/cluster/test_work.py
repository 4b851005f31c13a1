"""Jobs, Indexed Jobs and training jobs as real processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.conftest import identity, job
from selfreward.cluster.local.child import Child
from selfreward.cluster.local.manifests import Place, work_of
from selfreward.cluster.local.work import Work
from selfreward.plan import ChildKind, ChildPhase, ObservedChild
from selfreward_steps.contract import FailureClass


def seen(child: Child, condition: Callable[[ObservedChild], bool], seconds: float = 20) -> ObservedChild:
    """Look until `condition` holds."""
    deadline = time.monotonic() + seconds
    while True:
        child.refresh(datetime.now(UTC))
        observed = child.observed()
        if condition(observed):
            return observed
        assert time.monotonic() < deadline, observed
        time.sleep(0.02)


def ended(child: Child) -> ObservedChild:
    return seen(child, lambda observed: observed.phase in (ChildPhase.SUCCEEDED, ChildPhase.FAILED))


STEP = """
import json, os, sys
print(json.dumps({"kind": "progress", "done": 3, "total": 4, "unit": "pairs"}, separators=(",", ":")), flush=True)
result = {"step": "pairs", "succeeded": True, "reason": "Committed", "metrics": {"pairs": 4}}
open(os.environ["SELFREWARD_TERMINATION_LOG"], "w").write(json.dumps(result))
"""


def test_a_job_that_succeeds(place: Place) -> None:
    observed = ended(work_of(identity(), job(STEP), place))
    assert observed.phase is ChildPhase.SUCCEEDED
    assert observed.failures == ()
    assert observed.progress is not None
    assert (observed.progress.done, observed.progress.total, observed.progress.unit) == (3, 4, "pairs")
    (result,) = observed.results
    assert result.metrics == {"pairs": 4}
    assert observed.running_at is not None


def test_a_job_that_fails_says_so_in_its_own_words(place: Place) -> None:
    observed = ended(work_of(identity(), job("import sys; sys.exit('no pairs: all 4 candidates are tied')"), place))
    assert observed.phase is ChildPhase.FAILED
    (failure,) = observed.failures
    assert failure.message == "no pairs: all 4 candidates are tied"
    assert failure.failure_class is FailureClass.APPLICATION


def test_output_of_an_earlier_process_in_the_folder_is_not_this_ones_result(place: Place) -> None:
    assert ended(work_of(identity(), job(STEP), place)).results
    assert ended(work_of(identity(), job("raise SystemExit(1)"), place)).results == ()


SHARD = """
import os, sys, time
index = int(os.environ["JOB_COMPLETION_INDEX"])
print("begin", time.time(), flush=True)
time.sleep(0.3)
print("end", time.time(), flush=True)
sys.exit({codes}.get(index, 0))
"""


def spans(work: Work) -> list[tuple[float, float]]:
    found = []
    for log in work.logs:
        words = [line.split() for line in log.read_text().splitlines()]
        found.append((float(words[0][1]), float(words[1][1])))
    return found


def test_shards_run_at_most_parallelism_at_a_time(place: Place) -> None:
    work = work_of(identity(ChildKind.INDEXED_JOB), job(SHARD.format(codes={}), shards=4, parallelism=2), place)
    assert ended(work).phase is ChildPhase.SUCCEEDED
    times = spans(work)
    most = max(sum(begin <= start < end for begin, end in times) for start, _ in times)
    assert most == 2
    assert [log.name for log in work.logs] == [f"shard-{index:05d}.log" for index in range(4)]


def test_a_failed_shard_leaves_the_others_running(place: Place) -> None:
    script = SHARD.format(codes={0: 1})
    work = work_of(identity(ChildKind.INDEXED_JOB), job(script, shards=3, parallelism=1), place)
    observed = ended(work)
    assert observed.phase is ChildPhase.FAILED
    (failure,) = observed.failures
    assert failure.message.startswith("shard-00000: ")
    assert len(spans(work)) == 3


def test_a_shard_whose_user_must_act_ends_the_job(place: Place) -> None:
    script = SHARD.format(codes={0: 64})
    work = work_of(identity(ChildKind.INDEXED_JOB), job(script, shards=3, parallelism=1), place)
    observed = ended(work)
    (failure,) = observed.failures
    assert failure.failure_class is FailureClass.PERMANENT
    assert [log.exists() for log in work.logs] == [True, False, False]


def test_stopping_gives_time_and_then_kills(place: Place) -> None:
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    work = work_of(identity(), job(script, grace=0.3), place)
    seen(work, lambda _: work.logs[0].exists() and "up" in work.logs[0].read_text())
    work.stop()
    assert work.observed().deleting
    seen(work, lambda _: work.is_gone)


RANK = """
import json, os, sys, time
names = ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PET_NNODES", "PET_NPROC_PER_NODE", "PET_RDZV_BACKEND"]
print(json.dumps({name: os.environ.get(name) for name in names}), flush=True)
mine = os.environ["SELFREWARD_TERMINATION_LOG"]
if mine.endswith("worker-1.result.json"):
    while not os.path.getsize(mine.replace("worker-1.result.json", "worker-0.log")):
        time.sleep(0.05)
    sys.exit(3)
time.sleep(%s)
"""


def training(nodes: int, script: str, processes: int = 2) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "pytorch", "command": ["python3", "-c", script]}]}}
    replicas = {"replicas": nodes, "restartPolicy": "Never", "template": template}
    spec: dict[str, Any] = {
        "nprocPerNode": str(processes),
        "pytorchReplicaSpecs": {"Worker" if nodes > 1 else "Master": replicas},
    }
    if nodes > 1:
        spec["elasticPolicy"] = {
            "minReplicas": nodes,
            "maxReplicas": nodes,
            "rdzvBackend": "c10d",
            "maxRestarts": 0,
        }
    return {"kind": "PyTorchJob", "spec": spec}


def test_a_master_is_told_what_training_operator_tells_it(place: Place) -> None:
    work = work_of(identity(ChildKind.TRAINING), training(1, RANK % 0), place)
    assert ended(work).phase is ChildPhase.SUCCEEDED
    told = json.loads(work.logs[0].read_text())
    assert told["MASTER_PORT"].isdecimal()
    assert told == {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": told["MASTER_PORT"],
        "PET_NNODES": "1",
        "PET_NPROC_PER_NODE": "2",
        "PET_RDZV_BACKEND": None,
    }


def test_a_lost_rank_ends_the_training(place: Place) -> None:
    """The others would wait at the next all-reduce for ever."""
    work = work_of(identity(ChildKind.TRAINING), training(2, RANK % 600), place)
    observed = ended(work)
    (failure,) = observed.failures
    assert failure.message.startswith("worker-1: ")
    told = json.loads(work.logs[0].read_text())
    assert (told["PET_NNODES"], told["PET_RDZV_BACKEND"], told["RANK"]) == ("2:2", "c10d", None)


def test_two_nodes_meet(place: Place) -> None:
    """Real torchrun: two agents on one machine, and an all-reduce over their ranks."""
    module = place.folder / "meeting.py"
    module.write_text(
        "import torch, torch.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "total = torch.ones(1)\n"
        "dist.all_reduce(total)\n"
        "print('met', int(total), flush=True)\n"
        "dist.destroy_process_group()\n"
    )
    manifest = training(2, "", processes=1)
    container = manifest["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]
    container["command"] = ["python3", "-m", "torch.distributed.run", str(module)]
    container["env"] = [{"name": "OMP_NUM_THREADS", "value": "1"}]
    work = work_of(identity(ChildKind.TRAINING), manifest, place)
    seen(work, lambda observed: observed.phase in (ChildPhase.SUCCEEDED, ChildPhase.FAILED), seconds=120)
    assert sum(log.read_text().count("met 2") for log in work.logs) == 2


RANKS = """
import os, signal, time
if os.environ["RANK"] == "1":
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(60)
"""


def test_a_rank_that_is_killed_counts_as_out_of_memory_though_torchrun_only_stops_the_other(
    place: Place, tmp_path: Path
) -> None:
    script = tmp_path / "rank.py"
    script.write_text(RANKS)
    manifest = job("")
    launch = ["python3", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    manifest["spec"]["template"]["spec"]["containers"][0]["command"] = launch
    child = work_of(identity(ChildKind.TRAINING), manifest, place)
    observed = seen(child, lambda observed: observed.phase is ChildPhase.FAILED, 120)
    (failure,) = observed.failures
    assert (failure.failure_class, failure.reason) == (FailureClass.APPLICATION, "Killed")
    assert failure.message == "process 1 of the training was killed (SIGKILL), most likely because memory ran out"
