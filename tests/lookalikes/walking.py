"""A look-alike of a model on its way from import to M2: every step is the real one, on a few rows.

The import, `respond`, `judge` and `pairs` run in this process, the trainings in forked ones. Models are laid out as a
server's init container does it and are served by `transformers serve`, one process for all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Final

from bench import Bench as Steps
from lookalikes.models import MODELS, made
from selfreward.cluster.local.ports import free_port
from selfreward_steps.contract import (
    FetchConfig,
    ImportConfig,
    InputRef,
    JudgeConfig,
    PairsConfig,
    RespondConfig,
    ServingEndpoint,
    StoreConfig,
)
from selfreward_steps.fetch import bring as laid_out
from steps.training.training_bench import Bench as Training
from steps.training.training_bench import Finished
from transformers import AutoModelForCausalLM, AutoTokenizer

ANSWERS: Final = {"Name a river.": "The Ebro.", "Name a sea.": "The Baltic.", "Name a colour.": "It is red."}
JUDGED: Final = (("The Ebro.", 5.0), ("It is red.", 1.0))
"""Answers to the first question, and the score that is learnt of each."""
JUDGE: Final[Mapping[str, Any]] = {
    "template": "custom",
    "customTemplate": {"text": "Rate it.\nQuestion: {prompt}\nAnswer: {response}"},
    "samples": 1,
    "sampling": {"temperature": 0, "maxTokens": 24},
}
TRAINING: Final = {
    "learningRate": 1e-2, "minLearningRate": 1e-3, "batchSize": 8, "perDeviceBatchSize": 8, "maxLength": 128,
    "maxSteps": 160, "epochs": 1000, "dropout": 0.0, "warmupRatio": 0.1,
}  # fmt: skip
"""Enough of it to know a handful of rows by heart."""


@dataclass(frozen=True)
class Walked:
    """What came of one look-alike."""

    imported: str
    trained: str
    served: str
    stopped: str
    judged: str
    improved: str


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`transformers serve` for any model that is asked for by its folder; the base URL."""
    port = free_port()
    program = str(Path(sys.executable).with_name("transformers"))
    command = [program, "serve", "--host=127.0.0.1", f"--port={port}", "--dtype=float32", "--default-seed=1"]
    with (folder / "server.log").open("w") as log:
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=offline, cwd=folder)
        try:
            _wait(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server ended before it answered")


def walked(name: str, folder: Path, forks: ForkServerContext, url: str) -> Walked:
    """Walk the look-alike `name`; `folder` is its own, `url` that of a server for all models."""
    steps, training = Steps(folder), Training(folder, forks)
    imported = _imported(name, steps)
    learnt = training.run("sft", "m1", TRAINING, inputs={"model": "m0", "seed": "seed", "eft": "eft"}, judge=JUDGE)
    model = folder / "served" / "m1"
    laid_out(steps.store, FetchConfig(store=StoreConfig(uri=steps.store.uri), artifact="m1"), model)
    server = ServingEndpoint(url=url, model=str(model), concurrency=4)
    served, stopped = _answered(steps, server)
    return Walked(imported, _trained(learnt), served, stopped, _judged(steps, server), _improved(steps, training))


def _imported(name: str, steps: Steps) -> str:
    folder = steps.folder
    rows = {
        "instructions": [{"prompt": prompt, "completion": answer} for prompt, answer in ANSWERS.items()],
        "eft": [
            {"prompt": next(iter(ANSWERS)), "response": response, "critique": "", "score": score}
            for response, score in JUDGED
        ],
    }
    for role, found in rows.items():
        (folder / f"{role}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    sources = {role: {"uri": (folder / f"{role}.jsonl").as_uri()} for role in rows}
    model = {"source": {"uri": made(MODELS[name], folder / "model").as_uri()}, "output": "m0"}
    given = {"models": [model], "seedData": sources, "judge": JUDGE}
    steps.run(ImportConfig.model_validate({**steps.frame("seed"), **given}))
    steps.put("eft", train=steps.rows("seed", "eft"))
    manifest = steps.store.read_manifest("m0")
    assert manifest is not None
    repaired, takes_system = manifest.metadata["repaired"], manifest.metadata["system_role"]
    assert isinstance(repaired, list)
    return "; ".join([*map(str, repaired), *([] if takes_system else ["takes no system message"])]) or "as it is"


def _answered(steps: Steps, server: ServingEndpoint) -> tuple[str, str]:
    """What the server answers, and the token that ends it."""
    prompts = steps.put("prompts", prompts=[{"id": f"p{n}", "prompt": text} for n, text in enumerate(ANSWERS)])
    settings = {"perPrompt": 2, "sampling": {"temperature": 0, "maxTokens": 16}}
    config = {**steps.frame("answers", prompts=prompts), "settings": settings, "serving": server}
    steps.run(RespondConfig.model_validate(config))
    first = [row["candidates"][0] for row in steps.rows("answers", "responses")]
    right = [each["text"] for each in first] == list(ANSWERS.values())
    served = "answers as learnt" if right else f"answers {first[0]['text']!r}"
    ended = all(each["finish_reason"] == "stop" for each in first)
    last = _last_token(Path(server.model), next(iter(ANSWERS)))
    return served, f"at `{last}`" if ended else "runs to its limit"


def _last_token(model: Path, prompt: str) -> str:
    network, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = network.generate(**asked, max_new_tokens=16, do_sample=False)
    return str(tokenizer.convert_ids_to_tokens(int(answer[0, -1])))


def _judged(steps: Steps, server: ServingEndpoint) -> str:
    """Whether the scores that were learnt are read of the judgements of those answers."""
    candidates = [{"text": response, "finish_reason": "stop"} for response, _ in JUDGED]
    given = steps.put("responses", responses=[{"id": "p0", "prompt": next(iter(ANSWERS)), "candidates": candidates}])
    config = {**steps.frame("judgements", responses=given), "settings": JUDGE, "serving": server}
    steps.run(JudgeConfig.model_validate(config))
    scores = [row["scores"][0] for row in steps.rows("judgements", "judgements")]
    return "scores read" if scores == [score for _, score in JUDGED] else f"scores {scores}"


def _improved(steps: Steps, training: Training) -> str:
    """M2, from the pair that those judgements make."""
    asked = steps.put("asked", prompts=[{"id": "p0", "prompt": next(iter(ANSWERS))}])
    judged = {role: InputRef(artifact=role) for role in ("responses", "judgements")}
    steps.run(PairsConfig.model_validate({**steps.frame("pairs", prompts=asked, **judged), "settings": {}}))
    settings = {**TRAINING, "learningRate": 1e-4, "minLearningRate": 1e-4, "batchSize": 2, "maxSteps": 2}
    done = training.run("dpo", "m2", settings, inputs={"model": "m1", "reference": "m1", "pairs": "pairs"})
    if done.code:
        return str(done.result["message"])
    return "M2" if training.weights("m2") != training.weights("m1") else "M1 again"


def _trained(done: Finished) -> str:
    if done.code:
        return str(done.result["message"])
    return f"{done.result['metrics']['examples']:.0f} examples"
