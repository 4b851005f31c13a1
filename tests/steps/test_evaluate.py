"""Step evaluate on a server: a judge of known taste, answers, and head-to-head with M1."""

import random
from typing import Any

import pytest
from bench import Bench, endpoint
from openai_server import Fault, FaultKind, OpenAIServer, running
from plausible_model import Body, Reply
from selfreward_steps.contract import EvaluateConfig, EvaluationSettings, InputRef, JudgeSettings
from selfreward_steps.errors import PermanentError


def put_test_set(bench: Bench, prompts: int = 8) -> InputRef:
    rows = [
        {
            "id": f"{n}",
            "prompt": f"Question {n}?",
            "answers": [{"content": "good " * (3 - rank), "rank": rank} for rank in range(3)],
        }
        for n in range(prompts)
    ]
    return bench.put("eft", test=rows)


def evaluate(bench: Bench, server: OpenAIServer, output: str = "evaluation/m1", **inputs: InputRef) -> EvaluateConfig:
    return EvaluateConfig(
        **bench.frame(output, **inputs),
        settings=EvaluationSettings(prompts=5),
        judge=JudgeSettings(),
        serving=endpoint(server),
    )


def model(length: int) -> Any:
    """Judges by counting `good`, answers with so many of them, and prefers more of them."""

    def brain(body: Body, draw: random.Random) -> Reply:
        text = body["messages"][-1]["content"]
        if "<response-a>" in text:
            first, second = (part.count("good") for part in text.split("<response-b>"))
            return Reply(f"Verdict: {'A' if first > second else 'B' if first < second else 'tie'}")
        if "<response>" in text:
            return Reply(f"Score: {text.split('<response>')[1].count('good')}")
        return Reply("good " * length)

    return brain


def test_a_judge_of_peoples_taste_is_perfect(bench: Bench) -> None:
    with running(OpenAIServer(brain=model(2))) as server:
        result = bench.run(evaluate(bench, server, eft=put_test_set(bench)))
    report = bench.document("evaluation/m1", "metrics")
    assert report["judge"]["pairwise_accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0, "count": 24.0}
    # Every better answer is longer, so length alone is as good and the balanced number cannot be told.
    assert report["judge"]["pairwise_accuracy_longest_wins"]["value"] == 1.0
    assert report["judge"]["pairwise_accuracy_length_balanced"]["value"] is None
    assert result.metrics["judge_pairwise_accuracy"] == result.metrics["judge_parse_rate"] == 1
    assert report["answers"] == {"prompts": 5, "mean_chars": 10.0}
    assert [row["answer"] for row in bench.rows("evaluation/m1", "answers")] == ["good good "] * 5
    assert "head_to_head" not in report
    assert {len(row["answers"]) for row in bench.rows("evaluation/m1", "judge")} == {3}


@pytest.mark.parametrize(
    ("length", "name"),
    [pytest.param(4, "win", id="longer"), pytest.param(2, "tie", id="same"), pytest.param(1, "loss", id="shorter")],
)
def test_a_later_model_is_compared_in_both_orders(bench: Bench, length: int, name: str) -> None:
    eft = put_test_set(bench)
    with running(OpenAIServer(brain=model(2))) as server:
        bench.run(evaluate(bench, server, eft=eft))
    with running(OpenAIServer(brain=model(length))) as server:
        against = InputRef(artifact="evaluation/m1")
        result = bench.run(evaluate(bench, server, "evaluation/m2", eft=eft, against=against))
    assert result.metrics[f"head_to_head_{name}"] == 1
    assert result.metrics["head_to_head_unparsed"] == 0
    assert len([seen for seen in server.requests if "<response-a>" in seen.prompt]) == 10
    assert len(bench.rows("evaluation/m2", "comparisons")) == 5


@pytest.mark.parametrize("prompts", [0, 1, 2])
def test_few_test_prompts_say_so(bench: Bench, prompts: int) -> None:
    with running(OpenAIServer(brain=lambda body, draw: Reply("I cannot tell."))) as server:
        bench.run(evaluate(bench, server, eft=put_test_set(bench, prompts)))
    judge = bench.document("evaluation/m1", "metrics")["judge"]
    assert judge["prompts"] == prompts
    assert judge["parse_rate"] == (0 if prompts else None)
    assert judge["pairwise_accuracy"] == {"value": None, "low": None, "high": None, "count": 0.0}


def test_without_ranked_data_the_users_prompts_are_answered(bench: Bench) -> None:
    seed = bench.put("seed", prompts=[{"id": f"{n}", "prompt": f"Say {n}"} for n in range(9)])
    with running(OpenAIServer(brain=model(1))) as server:
        result = bench.run(evaluate(bench, server, seed=seed))
    assert result.metrics["answers_prompts"] == 5
    assert result.metrics["judge_prompts"] == 0


def test_a_second_attempt_asks_only_what_is_missing(bench: Bench) -> None:
    eft = put_test_set(bench)
    refused = Fault(FaultKind.STATUS, times=100, skip=26, status=403)
    with running(OpenAIServer(brain=model(2), faults=[refused])) as server:
        config = evaluate(bench, server, eft=eft)
        with pytest.raises(PermanentError, match="403"):
            bench.run(config.model_copy(update={"serving": endpoint(server, 1)}))
    with running(OpenAIServer(brain=model(2))) as mended:
        bench.run(config.model_copy(update={"serving": endpoint(mended)}))
    assert len(mended.requests) == 24 + 5 - 26
