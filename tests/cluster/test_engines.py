"""The real engines, started from the manifest that a cluster would get, answering our client: vLLM and the fallback."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cluster.conftest import identity
from cluster.kept import KeptEngine, check_exchanges
from cluster.test_served import seen
from selfreward.api import Keeping, SelfRewardRun
from selfreward.cli.machine.preparing import prepared
from selfreward.cluster.local.manifests import Place, served_of
from selfreward.cluster.local.ports import free_port
from selfreward.plan import ChildKind, ChildPhase, CreateServing
from selfreward.render import Images, serving_key, serving_manifests
from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.client.requests import ChatRequest, Completion
from selfreward_steps.contract import SERVING_KEY, LmEvalSettings, Sampling, ServingEndpoint
from selfreward_steps.errors import PermanentError
from selfreward_steps.evaluation.lm_eval_run import lm_eval_section, load_tasks, run_tasks
from selfreward_steps.store import open_store
from steps.tiny_model import make_tokenizer
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

START_SECONDS = 400
"""vLLM takes 40 s on an idle machine with two cores, and up to 200 s on a busy one."""


def commit_model(store: Path, folder: Path, name: str = "m1", *, seed: int = 0, length: int = 512) -> str:
    """A tiny model whose attention heads are of a size that engines have kernels for; returns its digest."""
    tokenizer = make_tokenizer()
    shape = {"hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2, "max_position_embeddings": length}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        num_attention_heads=2,
        num_key_value_heads=1,
        eos_token_id=tokenizer.eos_token_id,
        **shape,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    committed = open_store(store.as_uri()).commit(name, folder, inputs_digest="sha256:" + "0" * 64, step="import")
    return committed.digest


def ask(url: str, concurrency: int, key_variable: str | None = SERVING_KEY) -> dict[int, Completion]:
    """Eight seeded requests of three samples each."""
    endpoint = ServingEndpoint(
        url=url, model="m1", concurrency=concurrency, request_timeout_seconds=120, api_key_variable=key_variable
    )
    client = ServingClient(endpoint, alive=lambda: None)
    sampling = Sampling(temperature=1.0, top_p=0.9, max_tokens=12)
    requests = [ChatRequest(key, f"Tell me about {key}.", sampling, seed=100 * key, samples=3) for key in range(8)]
    answers: dict[int, Completion] = {}

    async def keep(completion: Completion) -> None:
        answers[completion.key] = completion

    asyncio.run(client.run(InOrder(requests), keep))
    return answers


SENTENCES = ["The river is cold.", "A letter came today, and nobody read it.", "Seven."]
CHOICES = ["cold", "a letter", "seven rivers", "nobody"]


def scores_of_lm_eval(url: str, folder: Path) -> list[float]:
    """Bits a byte of SENTENCES, and how often the choice of a sentence's place is the likeliest after it."""
    rows = [{"text": text, "answer": place} for place, text in enumerate(SENTENCES)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"data_files": {"test": str(folder / "rows.jsonl")}, "cache_dir": str(folder / "cache")}
    common = {"dataset_path": "json", "dataset_kwargs": data, "test_split": "test"}
    rolling = {
        "task": "rolling",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
    }
    rolling |= {"metric_list": [{"metric": "bits_per_byte"}]}
    choosing = {
        "task": "choosing",
        "output_type": "multiple_choice",
        "doc_to_text": "{{text}}",
        "doc_to_choice": CHOICES,
    }
    choosing |= {"doc_to_target": "answer", "metric_list": [{"metric": "acc"}]}
    (folder / "tasks").mkdir()
    for task in (rolling, choosing):
        (folder / "tasks" / f"{task['task']}.yaml").write_text(json.dumps(common | task))
    settings = LmEvalSettings(tasks=["rolling", "choosing"], include_path=str(folder / "tasks"))
    serving = ServingEndpoint(url=url, model="m1", concurrency=4, api_key_variable=SERVING_KEY)
    progress = ProgressReporter(enabled=False)
    found = lm_eval_section(run_tasks(settings, load_tasks(settings), serving, folder / "model", progress))
    return [found["rolling/bits_per_byte"]["value"], found["choosing/acc"]["value"]]


def scores_of_the_weights(folder: Path) -> list[float]:
    """The same from the weights themselves, by transformers."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), LlamaForCausalLM.from_pretrained(folder)

    def logprob(before: list[int], after: list[int]) -> float:
        with torch.no_grad():
            steps = model(torch.tensor([before + after])).logits[0].log_softmax(-1)
        return sum(float(steps[len(before) + place - 1, token]) for place, token in enumerate(after))

    total, right = 0.0, 0
    for place, text in enumerate(SENTENCES):
        asked = tokenizer(text).input_ids
        total += logprob([tokenizer.bos_token_id], asked)
        sums = [logprob(asked, tokenizer(f"{text} {choice}").input_ids[len(asked) :]) for choice in CHOICES]
        right += sums.index(max(sums)) == place
    return [-total / sum(len(text.encode()) for text in SENTENCES) / math.log(2), right / len(SENTENCES)]


def without_vllm() -> bool:
    """Whether setup found that vLLM does not import on this machine, said so and took it away."""
    record = Path(sys.prefix) / "selfreward-setup.json"
    return record.exists() and json.loads(record.read_text())["engine"] == "transformers"


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("vllm", marks=pytest.mark.skipif(without_vllm(), reason="setup: vLLM does not import here")),
        "transformers",
    ],
)
async def test_an_engine_serves_samples(
    engine: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SERVING_KEY, "the run's own key")
    spec = {
        "model": {"uri": "hf://a/b"},
        "serving": {"engine": engine, "maxModelLength": 512},
        "storage": {"uri": (tmp_path / "store").as_uri()},
    }
    run = prepared(
        SelfRewardRun.model_validate({"metadata": {"name": "demo", "uid": "0b5f8a52"}, "spec": spec}), tmp_path
    )
    store = tmp_path / "store" / "namespace=default" / "demo"
    digest = commit_model(store, tmp_path / "model")
    keeping = Keeping.AWAKE if engine == "vllm" else Keeping.NEVER
    deployment, _ = serving_manifests(run, CreateServing("demo-serve-m1-a1", "m1", 1, digest, keeping), Images())
    port = free_port()
    own = serving_key(run)
    place = replace(place, secrets={} if own is None else {(own.name, own.key): "the run's own key"})
    server = served_of(replace(identity(ChildKind.SERVING), key="", model="m1"), deployment, place, port)
    try:
        await seen(server, lambda child: child.phase is ChildPhase.READY, START_SECONDS)
        url = f"http://127.0.0.1:{port}/v1"
        answers = await asyncio.to_thread(ask, url, 4)
        again = await asyncio.to_thread(ask, url, 1)
        if engine == "vllm":
            with pytest.raises(PermanentError, match="401"):
                await asyncio.to_thread(ask, url, 1, key_variable=None)
            scores = await asyncio.to_thread(scores_of_lm_eval, url, tmp_path)
            folders = {"m1": tmp_path / "model", "m2": tmp_path / "m2"}
            digests = {"m1": digest, "m2": commit_model(store, folders["m2"], "m2", seed=1)}
            digests["broken"] = commit_model(store, tmp_path / "broken", "broken", length=256)
            await check_exchanges(KeptEngine(server, run, place, digests, folders, "the run's own key"))
    finally:
        server.stop(5)
        await seen(server, lambda _: server.is_gone, 60)
    assert sorted(answers) == list(range(8))
    texts = {key: [choice.text for choice in answers[key].choices] for key in answers}
    assert all(len(samples) == 3 for samples in texts.values())
    assert any(len(set(samples)) > 1 for samples in texts.values()), "it decodes greedily"
    if engine == "vllm":
        # Seeded requests answer alike however they are batched; `transformers serve` has one seed for the process.
        assert texts == {key: [choice.text for choice in again[key].choices] for key in again}
        assert scores == pytest.approx(scores_of_the_weights(tmp_path / "model"), abs=1e-3)
