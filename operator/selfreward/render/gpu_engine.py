"""An engine on GPUs: how vLLM is started there so that a run waits least for it.

It must not change anything that the user has set. The seconds are of one H200, a model of 135 million parameters and
vLLM 0.26 (docs/performance.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from selfreward.api import SelfRewardRunSpec, Serving
from selfreward.render.metadata import Manifest
from selfreward.render.pods import value

_WORTH_COMPILING: Final = 15_000_000
"""Tokens of a run's answers, were each as long as it may be, from which compiling a model earns back the 24 s that it
takes: a third of them at 10,000 a second, and a twentieth of that time saved."""
_CAPTURED: Final = (1, 2, 4, 8, 16, 32, 64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024)
"""Requests at a time that have a CUDA graph: to as many as vLLM runs on such a GPU (its default: 51 sizes to 512)."""
NOT_COMPILED: Final = {"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY", "cudagraph_capture_sizes": list(_CAPTURED)}
"""vLLM's `--compilation-config` where nothing is compiled."""
_OWN_CHOICE: Final = ("--compilation-config", "-cc", "-O", "--optimization-level", "--enforce-eager")


def gpu_arguments(spec: SelfRewardRunSpec, serving: Serving) -> list[str]:
    """Arguments of vLLM, to stand before the user's own: a run of few answers does not compile its model.

    CUDA graphs of the whole model then stand in for torch.compile (no slower: 28,000 tokens a second against 24,000).
    """
    if not serving.runs_vllm or any(word.startswith(_OWN_CHOICE) for word in serving.args):
        return []
    if most_answer_tokens(spec) >= _WORTH_COMPILING:
        return []
    return [f"--compilation-config={json.dumps(NOT_COMPILED, separators=(',', ':'))}"]


def gpu_variables(serving: Serving, named: Iterable[str]) -> list[Manifest]:
    """Entries of a server's `env`, without those that the user has `named`.

    The engine's process is forked from the server's, which has imported everything, where a new one imports it again
    (10 s). vLLM itself starts a new one after all where CUDA is in use already.
    """
    if not serving.runs_vllm or "--enforce-eager" in serving.args:
        return []
    return [value(name, text) for name, text in (("VLLM_WORKER_MULTIPROC_METHOD", "fork"),) if name not in set(named)]


def most_answer_tokens(spec: SelfRewardRunSpec) -> int:
    """Tokens of all answers of the run's iterations, if each were as long as it may be."""
    return spec.iterations * spec.prompts.count * spec.responses.per_prompt * spec.responses.sampling.max_tokens
