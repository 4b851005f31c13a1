"""Step select on a server: a judge of known taste chooses among checkpoints, and the winner becomes the model."""

from __future__ import annotations

import json
import random

import pytest
from bench import Bench, endpoint
from openai_server import OpenAIServer, running
from plausible_model import Body, Reply
from selfreward_steps.contract import InputRef, Sampling, SelectConfig
from selfreward_steps.errors import PermanentError
from selfreward_steps.store.digests import digest_of
from server_faults import Fault, FaultKind


def put_checkpoint(bench: Bench, number: int) -> InputRef:
    artifact = f"m2-checkpoint-{number}"
    folder = bench.folder / artifact
    (folder / "more").mkdir(parents=True)
    (folder / "model.safetensors").write_text(f"weights {number}")
    (folder / "more" / "file").write_text("more")
    (folder / "README.md").write_text(f"---\n---\n# {artifact}\n\nTrained.\n")
    metrics = {"reward_margin": number / 10, "held_out_reward_accuracy": 0.5, "loss": 9.0}
    metadata = {"precision": "fp32", "metrics": metrics}
    bench.store.commit(artifact, folder, inputs_digest=digest_of(artifact), step="dpo", metadata=metadata)
    return InputRef(artifact=artifact)


def put_answers(bench: Bench, number: int, *texts: str | None) -> InputRef:
    rows = [
        {
            "id": f"{place}",
            "prompt": f"Question {place}?",
            "candidates": [] if text is None else [{"text": text, "finish_reason": "stop"}],
            "tokens": 1,
        }
        for place, text in enumerate(texts)
    ]
    return bench.put(f"answers/m2-checkpoint-{number}", responses=rows)


def config(bench: Bench, server: OpenAIServer, *answers: tuple[str | None, ...]) -> SelectConfig:
    inputs = {}
    for number, texts in enumerate(answers, 1):
        inputs[f"checkpoint-{number}"] = put_checkpoint(bench, number)
        inputs[f"answers-{number}"] = put_answers(bench, number, *texts)
    return SelectConfig(**bench.frame("m2", **inputs), sampling=Sampling(), serving=endpoint(server))


def more_good(body: Body, draw: random.Random) -> Reply:
    first, second = (part.count("good") for part in body["messages"][-1]["content"].split("<response-b>"))
    return Reply(f"Verdict: {'A' if first > second else 'B' if first < second else 'tie'}")


def test_the_winner_is_the_model_with_its_own_numbers(bench: Bench) -> None:
    with running(OpenAIServer(brain=more_good)) as server:
        settings = config(bench, server, ("bad", "bad"), ("good", "good"), ("bad", "good"))
        result = bench.run(settings)
    assert bench.store.open("m2", "model.safetensors").read() == b"weights 2"
    assert bench.store.open("m2", "more/file").read() == b"more"
    assert bench.document("m2", "selection") == {
        "selected": "m2-checkpoint-2",
        "checkpoints": [
            {"checkpoint": 1, "wins": 0, "losses": 3},
            {"checkpoint": 2, "wins": 3, "losses": 0},
            {"checkpoint": 3, "wins": 1, "losses": 1},
        ],
    }
    assert len(server.requests) == 2 * 4, "equal texts are ties without being asked"
    told = {name: result.metrics[name] for name in ("checkpoints", "selected", "comparisons", "same_answers", "wins")}
    assert told == {"checkpoints": 3, "selected": 2, "comparisons": 6, "same_answers": 2, "wins": 3}
    assert (result.metrics["reward_margin"], result.metrics["held_out_reward_accuracy"]) == (0.2, 0.5)
    assert "loss" not in result.metrics
    manifest = bench.store.read_manifest("m2")
    assert manifest is not None
    assert (manifest.metadata["precision"], manifest.metadata["selected"]) == ("fp32", "m2-checkpoint-2")
    card = bench.store.open("m2", "README.md").read().decode()
    assert "# m2\n" in card
    assert "Chosen among 3 checkpoints as `m2-checkpoint-2`: 3 comparisons won and 0 lost" in card


def test_where_nothing_differs_the_end_of_the_training_is_taken(bench: Bench) -> None:
    with running(OpenAIServer(brain=more_good)) as server:
        result = bench.run(config(bench, server, ("good", None), ("good", "bad")))
    assert (result.metrics["selected"], result.metrics["comparisons"], len(server.requests)) == (2, 1, 0)


def test_a_judge_that_takes_nothing_fails_the_step(bench: Bench) -> None:
    with running(OpenAIServer(brain=more_good, faults=[Fault(FaultKind.STATUS, times=2, status=400)])) as server:
        settings = config(bench, server, ("bad",), ("good",))
        with pytest.raises(PermanentError, match="refused each of 2 requests") as failure:
            bench.run(settings)
    assert failure.value.reason == "ServingRejected"


def test_a_comparison_is_asked_once_however_often_the_step_is_begun(bench: Bench) -> None:
    """What was answered is kept, so that a judge that dies costs what was in flight."""
    with running(OpenAIServer(brain=more_good)) as server:
        settings = config(bench, server, ("bad",), ("good",))
        bench.run(settings)
        again = bench.run(settings)
    assert (again.reason, len(server.requests)) == ("AlreadyCommitted", 2)
    assert json.loads(bench.store.open("m2", "selection.json").read())["selected"] == "m2-checkpoint-2"
