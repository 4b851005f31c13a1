"""Training steps as processes of their own, over a store in a folder.

Most are forked from a server that has torch loaded; a few tests use the real commands.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from forked import run_step
from selfreward_steps.contract import CONFIG_VARIABLE, TERMINATION_LOG_VARIABLE
from selfreward_steps.store import Store, open_store

DIGEST = "sha256:" + "0" * 64


def mean_log_probability(model: Path, question: Sequence[Mapping[str, str]], answer: str) -> float:
    """How likely `model` finds each token of an answer, on average, as a logarithm."""
    return float(_log_probabilities(model, question, [{"role": "assistant", "content": answer}]).mean())


def log_probability(model: Path, prompt: Sequence[Mapping[str, str]], answer: Sequence[Mapping[str, str]]) -> float:
    """How likely `model` finds a whole answer, as a logarithm, in float32."""
    return float(_log_probabilities(model, prompt, answer).double().sum())


def _log_probabilities(model: Path, question: Sequence[Mapping[str, str]], answer: Sequence[Mapping[str, str]]) -> Any:
    import torch

    network, tokenizer = _opened(model)
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_dict=False)
    tokens = torch.tensor([tokenizer.apply_chat_template([*question, *answer], return_dict=False)])
    with torch.no_grad():
        scores = network(tokens).logits.log_softmax(-1)
    return scores[0, :-1].gather(1, tokens[0, 1:, None])[len(prompt) - 1 :]


@lru_cache(maxsize=4)
def _opened(model: Path) -> tuple[Any, Any]:
    """The network of a committed model, which never changes, in float32, and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), AutoTokenizer.from_pretrained(model)


def precomputed(model: Path, dropout: float, adapters: bool, path: Path) -> None:
    """Write the reference's log-probabilities of one pair, as DPO precomputes them, to `path`."""
    from datasets import Dataset
    from selfreward_steps.contract import DpoSettings, LoraSettings
    from selfreward_steps.training import models
    from selfreward_steps.training.arguments import common_arguments
    from selfreward_steps.training.batches import BatchPlan
    from selfreward_steps.training.ranks import Ranks
    from selfreward_steps.training.rewards import Split
    from selfreward_steps.training.trainers import Preference, Setup

    settings = DpoSettings(precompute_ref_log_probs=True, lora=LoraSettings(rank=4) if adapters else None)
    method = Preference(settings, own_reference=True)
    common = common_arguments(path.parent, seed=1, report_to=[], run_name="", sharded=False, max_length=64)
    pair = {
        "prompt": [{"role": "user", "content": "Count"}],
        "chosen": [{"role": "assistant", "content": "1 2 3"}],
        "rejected": [{"role": "assistant", "content": "Paris"}],
    }
    setup = Setup(
        method.arguments(BatchPlan.of(1, 1, 1), common, Ranks()),
        models.load_model(model, dropout=dropout),
        Split(Dataset.from_list([pair]), {}),
        models.load_tokenizer(model),
        [],
        lambda role: model,
        Ranks(),
    )
    (row,) = method.trainer(setup).train_dataset
    path.write_text(json.dumps([row["ref_chosen_logps"], row["ref_rejected_logps"]]))


@dataclass
class Finished:
    """What a step left behind."""

    code: int
    output: str
    errors: str
    result: dict[str, Any]

    @property
    def numbers(self) -> dict[str, float]:
        """What the step measured, but not how long it took."""
        return {name: value for name, value in self.result["metrics"].items() if not name.endswith("_seconds")}

    @property
    def progress(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.output.splitlines()]
        return [line for line in lines if line["kind"] == "progress"]

    @property
    def resumed_after(self) -> int:
        """The step of the checkpoint that this attempt began with, and no line told of an earlier one."""
        found = re.search(r"resuming from the checkpoint after step (\d+)", self.errors)
        assert found is not None, self.errors
        step = int(found[1])
        assert all(line["done"] >= step for line in self.progress if "total" in line)
        return step


@dataclass
class Running:
    """A step under way, on one process or on several ranks."""

    processes: Sequence[BaseProcess]
    folder: Path

    def wait(self) -> Finished:
        for process in self.processes:
            process.join()
        output = (self.folder / "output-0").read_text()
        result = self.folder / "result.json"
        return Finished(
            code=next((abs(code) for process in self.processes if (code := process.exitcode)), 0),
            output=output,
            errors="".join(path.read_text() for path in sorted(self.folder.glob("errors-*"))),
            result=json.loads(result.read_text()) if result.exists() else {},
        )

    def when(self, there: Callable[[], bool]) -> Running:
        """Return once `there` holds; fails if the step ends before."""
        while not there():
            assert any(process.is_alive() for process in self.processes), self.wait().errors
            time.sleep(0.005)
        return self


@dataclass
class Bench:
    """A store, and the steps that are run over it."""

    folder: Path
    forks: ForkServerContext
    runs: int = 0
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = open_store(f"file://{self.folder}/store")

    def put(self, artifact: str, **files: Sequence[Mapping[str, Any]]) -> None:
        """Commit JSONL files as an artifact."""
        folder = self.folder / "made" / artifact
        folder.mkdir(parents=True)
        for name, rows in files.items():
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.put_folder(artifact, folder)

    def put_folder(self, artifact: str, folder: Path) -> None:
        self.store.commit(artifact, folder, inputs_digest=DIGEST, step="import")

    def model(self, artifact: str) -> Path:
        return self.folder / "store" / artifact

    def weights(self, artifact: str) -> bytes:
        return (self.model(artifact) / "model.safetensors").read_bytes()

    def checkpoints(self, artifact: str) -> list[str]:
        return self.store.artifacts(f"checkpoints/{artifact}")

    def start(
        self,
        step: str,
        output: str,
        settings: Mapping[str, Any],
        *,
        ranks: int = 1,
        nodes: int = 1,
        process: Callable[..., None] = run_step,
        **config: Any,
    ) -> Running:
        """Start a step; `config` holds `inputs` (artifact by role) and any other field, `process` is what runs it.

        Each of several `nodes` has a scratch folder of its own, as its machine would.
        """
        self.runs += 1
        folder = self.folder / f"run-{self.runs}"
        folder.mkdir()
        environment = self._environment(step, output, settings, folder, config)
        processes = []
        for rank, numbered in enumerate(on_ranks(ranks, nodes)):
            if nodes > 1:
                numbered["SELFREWARD_SCRATCH"] = str(self.folder / f"scratch-{numbered['GROUP_RANK']}")
            arguments = (step, environment | numbered, str(folder / f"output-{rank}"), str(folder / f"errors-{rank}"))
            processes.append(self.forks.Process(target=process, args=arguments))
        (folder / "output-0").touch()
        for process in processes:
            process.start()
        return Running(processes, folder)

    def run(
        self, step: str, output: str, settings: Mapping[str, Any], *, ranks: int = 1, nodes: int = 1, **config: Any
    ) -> Finished:
        return self.start(step, output, settings, ranks=ranks, nodes=nodes, **config).wait()

    def command(
        self, command: Sequence[str], step: str, output: str, settings: Mapping[str, Any], **config: Any
    ) -> Finished:
        """Run the real command, such as `-m selfreward_steps`, in a fresh interpreter."""
        folder = self.folder / "command"
        folder.mkdir()
        environment = os.environ | self._environment(step, output, settings, folder, config)
        done = subprocess.run(
            [sys.executable, *command, step], env=environment, capture_output=True, text=True, check=False
        )
        result = json.loads((folder / "result.json").read_text())
        return Finished(done.returncode, done.stdout, done.stderr, result)

    def _environment(
        self, step: str, output: str, settings: Mapping[str, Any], folder: Path, config: Mapping[str, Any]
    ) -> dict[str, str]:
        inputs = {role: {"artifact": artifact} for role, artifact in config.get("inputs", {}).items()}
        store = {"uri": self.store.uri}
        # Not `auto`: what is compared to the last digit must not depend on what this machine multiplies in.
        exact = {"precision": "fp32", **settings}
        whole = {"step": step, "run": "bench", "store": store, "output": output, "settings": exact}
        return {
            CONFIG_VARIABLE: json.dumps({**whole, **config, "inputs": inputs}),
            TERMINATION_LOG_VARIABLE: str(folder / "result.json"),
            "SELFREWARD_SCRATCH": str(self.folder / "scratch"),
            "OMP_NUM_THREADS": "1",
        }


def on_ranks(ranks: int, nodes: int = 1) -> list[dict[str, str]]:
    """The environment that torchrun gives each rank; nothing for one alone."""
    port = str(_free_port())
    return [{} if ranks == 1 else _torchrun_variables(rank, ranks, nodes, port) for rank in range(ranks)]


def _torchrun_variables(rank: int, ranks: int, nodes: int, port: str) -> dict[str, str]:
    local = ranks // nodes
    numbers = {
        "RANK": rank,
        "LOCAL_RANK": rank % local,
        "WORLD_SIZE": ranks,
        "LOCAL_WORLD_SIZE": local,
        "GROUP_RANK": rank // local,
    }
    return {name: str(number) for name, number in numbers.items()} | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
