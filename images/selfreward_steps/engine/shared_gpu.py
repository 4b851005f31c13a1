"""The worker of an engine that shares its GPUs with others of the same server (`--worker-cls`).

vLLM gives each engine of a server (`--data-parallel-size`) GPUs of its own, and counts as its own what appears on a GPU
while it looks how much room there is. Here several engines are on the same GPUs, and each reckons by itself alone.
"""

from __future__ import annotations

import os

import torch
from vllm.v1.worker.gpu_worker import Worker

from selfreward_steps.contract import ENGINE_BYTES, ENGINES_VARIABLE


class SharedGpuWorker(Worker):
    """A worker of vLLM on the GPUs of its group of engines, which the environment says how many they are."""

    def init_device(self) -> None:
        """Takes the GPUs that the first engine of the group would have alone."""
        place = self.parallel_config.data_parallel_rank_local or 0
        self.parallel_config.data_parallel_rank_local = place // int(os.environ[ENGINES_VARIABLE])
        super().init_device()

    def determine_available_memory(self) -> int:
        """Bytes for the cache on each GPU: its share without what this process holds and will need beside it."""
        if self.cache_config.kv_cache_memory_bytes is None:
            # Not the GPU's free memory, of which the other engines take theirs at the same time.
            held = torch.cuda.memory_allocated(self.device)
            self.cache_config.kv_cache_memory_bytes = int(self.requested_memory) - held - ENGINE_BYTES
        available: int = super().determine_available_memory()
        return available
