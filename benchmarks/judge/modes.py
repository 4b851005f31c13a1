"""Seconds of the step `judge`, by comparison and by critiques: MODEL RANKINGS FOLDER and three numbers.

The numbers are of prompts, and of tokens of an answer and of a judgement at most. One model, which has learnt neither
way to judge, answers each prompt four times and judges these answers both ways: three critiques of each, or every two
of them in both orders, 12 judgements a prompt either way. The prompts are in parts, each judged once either way, so
that the prefix cache has nothing of it; the first part warms the server up and is not counted, and the ways take turns
in going first. The steps are the product's, each a process as in a run. Of the judgements' prompts the server says how
many tokens it was given, each judgement with a prompt of its own, and how many of them its prefix cache held.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from selfreward.api import Serving
from selfreward.cli.machine.gpus import has_gpu
from selfreward.cluster.local.ports import free_port
from selfreward.render.gpu_engine import NOT_COMPILED
from selfreward.render.processors import on_processors, processor_variables
from selfreward_steps.contract import (
    InputRef,
    JudgeConfig,
    JudgeMode,
    JudgeSettings,
    RespondConfig,
    ResponseSettings,
    Sampling,
    ServingEndpoint,
    StoreConfig,
)
from selfreward_steps.contract.configs import CONFIG_VARIABLE, SHARD_VARIABLE
from selfreward_steps.contract.settings import JudgeSampling
from selfreward_steps.store import open_store

NAME: Final = "judge"
SHARDS: Final = 4
MODES: Final = (JudgeMode.COT, JudgeMode.PAIRWISE)


def main() -> None:
    model, rankings, folder = (Path(each) for each in sys.argv[1:4])
    prompts, answer_tokens, judge_tokens = (int(each) for each in sys.argv[4:7])
    folder.mkdir(parents=True, exist_ok=True)
    asked = list(dict.fromkeys(json.loads(line)["prompt_text"] for line in rankings.open(encoding="utf-8")))[:prompts]
    uri = (folder / "store").as_uri()
    _put_prompts(uri, folder, asked)
    told: dict[str, Any] = {"prompts": len(asked), "counted": 0, "judge_tokens": judge_tokens, "modes": {}}
    began = time.time()
    with _served(model, folder) as url:
        told["engine_seconds"] = time.time() - began
        frame: dict[str, Any] = {
            "run": "modes",
            "store": StoreConfig(uri=uri),
            "serving": ServingEndpoint(url=url, model=NAME),
            "shards": SHARDS,
        }
        answers = RespondConfig(
            **frame,
            inputs={"prompts": InputRef(artifact="prompts")},
            output="answers",
            settings=ResponseSettings(per_prompt=4, sampling=Sampling(max_tokens=answer_tokens)),
        )
        ways = {
            mode: JudgeConfig(
                **frame,
                inputs={"responses": InputRef(artifact="answers", shards=SHARDS)},
                output=mode.value,
                settings=JudgeSettings(mode=mode, samples=3, sampling=JudgeSampling(max_tokens=judge_tokens)),
            )
            for mode in MODES
        }
        parts: dict[JudgeMode, list[dict[str, float]]] = {mode: [] for mode in MODES}
        for shard in range(SHARDS):
            _step(answers, shard, folder)
            for mode in MODES if shard % 2 else reversed(MODES):
                before = _prompt_tokens(url)
                judged = _step(ways[mode], shard, folder)
                read = {name: count - before[name] for name, count in _prompt_tokens(url).items()}
                parts[mode].append(judged | read)
    for mode, found in parts.items():
        counted = found[1:]
        sums: dict[str, Any] = {name: sum(each[name] for each in counted) for name in counted[0]}
        sums["with_a_score"] /= len(counted)
        told["modes"][mode.value] = {**sums, "parts": counted}
    told["counted"] = len(asked) - len(asked[::SHARDS])
    told["seconds"] = time.time() - began
    print(json.dumps(told), flush=True)


def _step(config: RespondConfig | JudgeConfig, shard: int, folder: Path) -> dict[str, float]:
    """Run one shard of a step in a process of its own; what it took."""
    environment = {
        **os.environ,
        CONFIG_VARIABLE: config.model_dump_json(by_alias=True, exclude_none=True),
        SHARD_VARIABLE: str(shard),
        "SELFREWARD_SCRATCH": str(folder / "scratch"),
    }
    command = [sys.executable, "-m", "selfreward_steps", config.step.value]
    began = time.time()
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.time() - began
    metrics = json.loads(ended.stdout.splitlines()[-1])["metrics"]
    return {
        "seconds": seconds,
        # Without the process's start: from the first request to the last answer.
        "asking": metrics["completion_tokens"] / metrics["tokens_per_second"],
        "requests": metrics["requests"],
        "tokens": metrics["completion_tokens"],
        "with_a_score": metrics.get("parse_rate", 0.0),
    }


def _prompt_tokens(url: str) -> dict[str, float]:
    """Tokens of all prompts that the server was given so far, and those of them that its prefix cache held."""
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/metrics", timeout=30) as reply:
        told = reply.read().decode()
    names = {"prompt_tokens": "vllm:prefix_cache_queries_total", "cached_tokens": "vllm:prefix_cache_hits_total"}
    lines = {name: re.findall(rf"^{counter}(?:{{.*}})? (\S+)$", told, re.MULTILINE) for name, counter in names.items()}
    return {name: sum(map(float, found)) for name, found in lines.items()}


def _put_prompts(uri: str, folder: Path, asked: list[str]) -> None:
    """The prompts as an artifact, as the step `prompts` would have committed them."""
    source = folder / "prompts"
    source.mkdir(exist_ok=True)
    rows = (json.dumps({"id": f"p{place}", "prompt": prompt}) + "\n" for place, prompt in enumerate(asked))
    (source / "prompts.jsonl").write_text("".join(rows), encoding="utf-8")
    open_store(uri).commit("prompts", source, inputs_digest="sha256:" + "0" * 64, step="prompts")


@contextmanager
def _served(model: Path, folder: Path) -> Iterator[str]:
    """The model on a server of vLLM, started as the product starts it for so few answers."""
    port = free_port()
    arguments = ["--dtype=auto", f"--compilation-config={json.dumps(NOT_COMPILED)}"]
    variables = {"VLLM_WORKER_MULTIPROC_METHOD": "fork"}
    if not has_gpu():
        serving = on_processors(Serving(), 1 << 30)
        arguments, variables = [f"--dtype={serving.dtype}", *serving.args], processor_variables()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", f"--model={model}", f"--port={port}"]
    common = [f"--served-model-name={NAME}", "--host=127.0.0.1", "--max-model-len=4096", "--enable-prefix-caching"]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, *common, "--generation-config=vllm", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
        )
    try:
        while not _answers(port):
            if server.poll() is not None:
                sys.exit(f"the server ended: see {folder / 'server.log'}")
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    main()
