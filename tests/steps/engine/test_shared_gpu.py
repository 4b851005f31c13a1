"""Where an engine that shares its GPUs runs, and how much of their memory it takes, by vLLM's own worker."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from selfreward_steps.contract import ENGINE_BYTES

GIB = 1 << 30
# vLLM is imported in a process of its own, as the engine does: it sets more than a test may.
SCRIPT = """
import inspect, json, os
from types import SimpleNamespace
import torch
from selfreward_steps.contract import ENGINES_VARIABLE
from selfreward_steps.engine.shared_gpu import SharedGpuWorker
from vllm.v1.worker.gpu_worker import Worker

GIB = 1 << 30
looked = {each: inspect.getsource(getattr(Worker, each)) for each in ("init_device", "determine_available_memory")}
Worker.init_device = lambda self: places.append(self.parallel_config.data_parallel_rank_local)
Worker.determine_available_memory = lambda self: self.cache_config.kv_cache_memory_bytes
torch.cuda.memory_allocated = lambda device: 3 * GIB

def worker(place=None, cache=None):
    made = SharedGpuWorker.__new__(SharedGpuWorker)
    made.parallel_config = SimpleNamespace(data_parallel_rank_local=place)
    made.cache_config = SimpleNamespace(kv_cache_memory_bytes=cache)
    made.requested_memory, made.device = 60 * GIB, "cuda:0"
    return made

told = {"places": {}, "caches": [worker(cache=given).determine_available_memory() for given in (None, 7 * GIB)]}
for engines in (1, 2, 4):
    os.environ[ENGINES_VARIABLE] = str(engines)
    places = told["places"][engines] = []
    for place in range(4):
        worker(place).init_device()
told["rests_on"] = [
    "self.parallel_config.data_parallel_rank_local" in looked["init_device"],
    "self.requested_memory = request_memory" in looked["init_device"],
    "self.cache_config.kv_cache_memory_bytes" in looked["determine_available_memory"],
]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> Any:
    """What the workers of some servers said."""
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_engines_of_a_server_are_on_the_same_gpus(told: Any) -> None:
    assert told["places"] == {"1": [0, 1, 2, 3], "2": [0, 0, 1, 1], "4": [0, 0, 0, 0]}


def test_an_engines_cache_is_reckoned_by_itself_alone_unless_the_user_says_it(told: Any) -> None:
    assert told["caches"] == [60 * GIB - 3 * GIB - ENGINE_BYTES, 7 * GIB]


def test_the_installed_vllm_has_what_this_rests_on(told: Any) -> None:
    assert told["rests_on"] == [True, True, True]
