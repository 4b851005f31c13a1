"""An engine on GPUs: how vLLM is started there so that a run waits least for it.

It must not change anything that the user has set. The seconds are of one H200, a model of 135 million parameters and
vLLM 0.26 (docs/performance.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Final

from selfreward_steps.contract import ENGINES_VARIABLE, LENT, MODEL_DIR_VARIABLE, cache_tokens, served_share

from selfreward.api import Keeping, SelfRewardRunSpec, Serving
from selfreward.plan import ModelSize
from selfreward.render.memory import gpu_bytes
from selfreward.render.metadata import Manifest
from selfreward.render.pods import value

_WORTH_COMPILING: Final = 15_000_000
"""Tokens of a run's answers, were each as long as it may be, from which compiling a model earns back the 24 s that it
takes: a third of them at 10,000 a second, and a twentieth of that time saved."""
_CAPTURED: Final = (1, 2, 4, 8, 16, 32, 64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024)
"""Requests at a time that have a CUDA graph: to as many as vLLM runs on such a GPU (its default: 51 sizes to 512)."""
NOT_COMPILED: Final = {"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY", "cudagraph_capture_sizes": list(_CAPTURED)}
"""vLLM's `--compilation-config` where nothing is compiled."""
_PROMPT_TOKENS: Final = 100
_LENGTH: Final = 0.7
"""Of a request, the mean length of its prompt, and of its answer as a share of what it may be: the longest measured."""
_FEWEST: Final = 16
_CAPTURED_STEP: Final = 64
_LEAST_BATCHED: Final = 2048
_BATCHED_TOKENS: Final = 8
"""Tokens that a step of the engine may compute for each request that it runs, as with vLLM's own choice on an H200."""
_OWN_CAPACITY: Final = (
    "--gpu-memory-utilization",
    "--kv-cache-memory",
    "--max-num-seqs",
    "--max-num-batched-tokens",
    "--no-enable-chunked-prefill",
    "--enable-chunked-prefill=",
    "--num-gpu-blocks-override",
    "--performance-mode",
    # A file of arguments gives way to the command line.
    "--config",
)
WITH_LENT: Final = (
    "sh",
    "-c",
    f'PYTHONPATH="${{{MODEL_DIR_VARIABLE}%/*}}/{LENT}${{PYTHONPATH:+:$PYTHONPATH}}" exec "$@"',
    "sh",
)
"""Start of a server's command that lets it import what the init container has lent it."""
_SHARED: Final = "selfreward_steps.engine.shared_gpu.SharedGpuWorker"
_UNKNOWN_SHARE: Final = 0.9
"""Of a GPU whose memory nobody names, what several engines take together."""
_OWN_CHOICE: Final = ("--compilation-config", "-cc", "-O", "--optimization-level", "--enforce-eager")


def gpu_arguments(spec: SelfRewardRunSpec, serving: Serving, size: ModelSize | None) -> list[str]:
    """Arguments of vLLM, to stand before the user's own: how much of a GPU it takes and how many requests it runs at a
    time, by the GPU's memory and the model; and a run of few answers does not compile its model.

    CUDA graphs of the whole model then stand in for torch.compile (no slower: 28,000 tokens a second against 24,000).
    """
    if not serving.runs_vllm:
        return []
    words = [*_capacity(spec, serving, size)]
    if serving.engines_per_server > 1:
        words += [f"--data-parallel-size={serving.engines_per_server}", f"--worker-cls={_SHARED}"]
    if not compiles(spec, serving):
        words.append(f"--compilation-config={json.dumps(NOT_COMPILED, separators=(',', ':'))}")
    return words


def compiles(spec: SelfRewardRunSpec, serving: Serving) -> bool:
    """Whether vLLM is left to compile the model: where the user says so or otherwise, and where it is worth it."""
    return _has(serving, _OWN_CHOICE) or not serving.runs_vllm or most_answer_tokens(spec) >= _WORTH_COMPILING


def _has(serving: Serving, names: tuple[str, ...]) -> bool:
    """Whether the user has given one of these arguments; vLLM takes underscores for dashes in their names."""
    words = (word.partition("=") for word in serving.args)
    return any((name.replace("_", "-") + rest + value).startswith(names) for name, rest, value in words)


def _capacity(spec: SelfRewardRunSpec, serving: Serving, size: ModelSize | None) -> Iterator[str]:
    """vLLM's own choice knows the GPU and not the model: 1,024 requests on the largest, 256 on the others, of which a
    large model's cache holds fewer and a small one's many more."""
    memory = gpu_bytes(spec.workloads.serving, serving.device_class_name)
    engines = serving.engines_per_server
    if _has(serving, _OWN_CAPACITY) or (memory is None and engines == 1):
        return
    share = math.floor(100 * (_UNKNOWN_SHARE / engines if memory is None else served_share(memory, engines))) / 100
    yield f"--gpu-memory-utilization={share}"
    if memory is None or size is None:
        return
    # The cache is in the weights' format.
    width = 2 if serving.dtype in ("float", "float32") else 1
    weights, token = 2 * width * size.parameters, width * size.cache_bytes_per_token
    room = cache_tokens(memory, serving.tensor_parallel, weights, token, share)
    request = _PROMPT_TOKENS + _LENGTH * spec.responses.sampling.max_tokens
    requests = min(_CAPTURED[-1], max(_FEWEST, int(room / request)))
    # Of those sizes there are graphs.
    requests -= requests % _CAPTURED_STEP if requests > _CAPTURED_STEP else 0
    yield f"--max-num-seqs={requests}"
    # Prompts are read in parts, beside the answers that are being written, a token each.
    yield f"--max-num-batched-tokens={max(_LEAST_BATCHED, _BATCHED_TOKENS * requests)}"


def imports_lent(serving: Serving, keeping: Keeping) -> bool:
    """Whether the server's processes import something of ours that nothing else brings to them, as a kept pod's start
    does."""
    return serving.runs_vllm and serving.engines_per_server > 1 and keeping is Keeping.NEVER


def gpu_variables(serving: Serving, named: Iterable[str]) -> list[Manifest]:
    """Entries of a server's `env`, without those that the user has `named`.

    The engine's process is forked from the server's, which has imported everything, where a new one imports it again
    (10 s). vLLM itself starts a new one after all where CUDA is in use already.
    """
    if not serving.runs_vllm:
        return []
    own = {} if "--enforce-eager" in serving.args else {"VLLM_WORKER_MULTIPROC_METHOD": "fork"}
    if serving.engines_per_server > 1:
        own[ENGINES_VARIABLE] = str(serving.engines_per_server)
    return [value(name, text) for name, text in own.items() if name not in set(named)]


def most_answer_tokens(spec: SelfRewardRunSpec) -> int:
    """Tokens of all answers of the run's iterations, if each were as long as it may be."""
    return spec.iterations * spec.prompts.count * spec.responses.per_prompt * spec.responses.sampling.max_tokens
