"""Tasks of our own for lm-eval, a pretended model that does them, and its score counted without lm-eval."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from bench import Bench, endpoint
from openai_server import OpenAIServer
from plausible_model import Body
from selfreward_steps.client.retrying import RetryPolicy
from selfreward_steps.contract import EvaluateConfig, EvaluationSettings, InputRef, JudgeSettings, LmEvalSettings
from selfreward_steps.store.digests import digest_of
from tiny_model import make_tokenizer
from transformers import PreTrainedTokenizerFast

tokenizer = cache(make_tokenizer)
IMPATIENT = RetryPolicy(outage_seconds=0, least_attempts=2, nonsense_attempts=2)
COLOURS = ["red", "green", "blue", "dark yellow"]
WORDS = ["tea", "milk", "salt", "rice", "corn"]


def questions(count: int) -> list[dict[str, Any]]:
    return [
        {"question": f"Which colour has number {n}?", "choices": COLOURS, "answer": n * n % 4} for n in range(count)
    ]


def write_task(folder: Path, name: str, content: dict[str, Any]) -> None:
    files = {"test": str(folder / f"{name}.jsonl")}
    common = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
        "test_split": "test",
        "doc_to_text": "{{question}}",
        "doc_to_target": "answer",
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(common | content))


def logprob(token: int, place: int) -> float:
    """What the pretended model gives a token at a place of the prompt."""
    return -((37 * token + 5 * place) % 11 + 1) / 4


def completion(body: Body) -> Body:
    """As vLLM answers `echo` with `logprobs`; else the last word but for the third, which comes out wrong."""
    (prompt,) = body["prompt"]
    if not body.get("echo"):
        word = tokenizer().decode(prompt).split()[-1]
        return {"text": f"I say {'sugar' if word == WORDS[2] else word}", "finish_reason": "stop"}
    stated = [None, *(logprob(token, place) for place, token in enumerate(prompt) if place), -0.5]
    likeliest = [None if value is None else {"x": max(value, -0.25)} for value in stated]
    return {"text": "", "finish_reason": "length", "logprobs": {"token_logprobs": stated, "top_logprobs": likeliest}}


def expected_accuracy(count: int) -> float:
    """Counted without lm-eval: the choice whose tokens add up to most."""
    right = 0
    for row in questions(count):
        asked = len(tokenizer()(row["question"]).input_ids)
        sums = []
        for choice in row["choices"]:
            whole = tokenizer()(f"{row['question']} {choice}").input_ids
            sums.append(sum(logprob(token, place) for place, token in enumerate(whole) if place >= asked))
        right += sums.index(max(sums)) == row["answer"]
    return right / count


def put_tokenizer(bench: Bench, own: PreTrainedTokenizerFast | None = None) -> InputRef:
    folder = bench.folder / "put" / "m1"
    (own or tokenizer()).save_pretrained(folder)
    bench.store.commit("m1", folder, inputs_digest=digest_of("m1"), step="import")
    return InputRef(artifact="m1")


def evaluate(
    bench: Bench, server: OpenAIServer, settings: LmEvalSettings, made: InputRef | None = None, **options: Any
) -> EvaluateConfig:
    seed = bench.put("seed", prompts=[{"id": f"{n}", "prompt": f"Say {n}"} for n in range(3)])
    return EvaluateConfig(
        **bench.frame("evaluation/m1", seed=seed, model=made or put_tokenizer(bench)),
        settings=EvaluationSettings(prompts=3, lm_eval=settings),
        judge=JudgeSettings(),
        serving=endpoint(server, **options),
    )
