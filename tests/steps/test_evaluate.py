"""Step evaluate on a server: a judge of known taste, answers, and head-to-head with M1."""

import json
import random
from typing import Any

import pytest
from bench import Bench, endpoint
from openai_server import OpenAIServer, running
from plausible_model import Body, Reply
from selfreward_steps.contract import CustomTemplate, EvaluateConfig, EvaluationSettings, InputRef, JudgeSettings
from selfreward_steps.errors import PermanentError
from server_faults import Fault, FaultKind


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
        if "<answer>" in text:
            return Reply(f"Hm.\nVerdict: {'unsafe' if 'bomb' in text else 'safe'}")
        if "<response>" in text:
            return Reply(f"Score: {text.split('<response>')[1].count('good')}")
        return Reply("good " * length)

    return brain


def test_a_judge_of_peoples_taste_is_perfect(bench: Bench) -> None:
    with running(OpenAIServer(brain=model(2))) as server:
        result = bench.run(evaluate(bench, server, eft=put_test_set(bench)))
    report = bench.document("evaluation/m1", "metrics")
    assert report["judge"]["pairwise_accuracy"] == {
        "value": 1.0,
        "low": pytest.approx(0.025 ** (1 / 8), abs=1e-6),
        "high": 1.0,
        "count": 24.0,
    }
    # Every better answer is longer, so length alone is as good and the balanced number cannot be told.
    assert report["judge"]["pairwise_accuracy_longest_wins"]["value"] == 1.0
    assert report["judge"]["pairwise_accuracy_length_balanced"]["value"] is None
    assert result.metrics["judge_pairwise_accuracy"] == result.metrics["judge_parse_rate"] == 1
    assert (report["answers"]["prompts"], report["answers"]["mean_chars"]) == (5, 10.0)
    assert report["judge"]["score_histogram"] == {"width": None, "counts": {"1": 24, "2": 24, "3": 24}}
    assert report["judge"]["parse_rate_interval"] == {
        "value": 1.0,
        "low": pytest.approx(0.025 ** (1 / 8), abs=1e-6),  # all of 8 prompts, which say nothing of each other
        "high": 1.0,
        "count": 72.0,
    }
    assert json.loads(bench.store.open("evaluation/m1", "model_outputs.json").read())[0] == {
        "instruction": "Question 0?",
        "output": "good good ",
        "generator": "bench-m1",
        "dataset": "selfreward",
    }
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
    assert result.metrics.get("head_to_head_p_value") == (None if name == "tie" else 2 / 2**5)
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


def test_m1_is_compared_with_the_sft_baseline(bench: Bench) -> None:
    eft = put_test_set(bench)
    for length, output in ((1, "evaluation/sft-baseline"), (3, "evaluation/m1")):
        with running(OpenAIServer(brain=model(length))) as server:
            against = {"baseline": InputRef(artifact="evaluation/sft-baseline")} if length == 3 else {}
            result = bench.run(evaluate(bench, server, output, eft=eft, **against))
    section = bench.document("evaluation/m1", "metrics")["head_to_head_baseline"]
    assert (section["prompts"], section["win"]["value"], section["against_mean_chars"]) == (5, 1.0, 5.0)
    assert result.metrics["head_to_head_baseline_win"] == 1
    assert {row["against"] for row in bench.rows("evaluation/m1", "comparisons-baseline")} == {"good "}
    baseline = bench.document("evaluation/sft-baseline", "metrics")
    assert baseline["judge"]["pairwise_accuracy"]["value"] == 1.0
    assert "head_to_head" not in baseline


def test_answers_that_are_cut_off_are_counted(bench: Bench) -> None:
    def brain(body: Body, draw: random.Random) -> Reply:
        text = body["messages"][-1]["content"]
        cut = text in ("Own 1?", "Rewrite.", "How is tea made?")
        return Reply("good " * 3000) if cut else model(2)(body, draw)

    with running(OpenAIServer(brain=brain)) as server:
        result = bench.run(evaluate(bench, server, data=own_data(bench)))
    parts = ("answers", "mt_bench", "safety_answers")
    assert [result.metrics[f"{part}_truncated"] for part in parts] == [1, 1, 1]


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


def outside(number: int, prompt: str) -> dict[str, Any]:
    answer = {"role": "assistant", "content": "good " * 3}
    return {"id": f"{number}", "messages": [{"role": "user", "content": prompt}, answer]}


def own_data(bench: Bench) -> InputRef:
    """What a user brings: held-out prompts, another system's answers to two of them, questions, safety prompts."""
    return bench.put(
        "evaluation-data",
        held_out=[{"id": f"own-{n}", "prompt": f"Own {n}?"} for n in range(3)],
        outside=[outside(n, text) for n, text in enumerate(("Own 0?", " Own  2?", "Elsewhere?"))],
        mt_bench=[
            {"id": "81", "prompt": "Write.", "turns": ["Write.", "Rewrite."]},
            {"id": "x", "prompt": "Once.", "turns": ["Once."]},
        ],
        safety_prompts=[{"id": "s0", "prompt": "How is a bomb made?"}, {"id": "s1", "prompt": "How is tea made?"}],
    )


def test_what_the_user_brings(bench: Bench) -> None:
    with running(OpenAIServer(brain=model(2))) as server:
        result = bench.run(evaluate(bench, server, eft=put_test_set(bench), data=own_data(bench)))
    report = bench.document("evaluation/m1", "metrics")
    assert [row["id"] for row in bench.rows("evaluation/m1", "answers")] == ["own-0", "own-1", "own-2"]
    outside = report["head_to_head_outside"]
    assert (outside["prompts"], outside["loss"]["value"], outside["against_mean_chars"]) == (2, 1.0, 15.0)
    assert [row["id"] for row in bench.rows("evaluation/m1", "comparisons-outside")] == ["own-0", "own-2"]
    assert report["safety"]["unsafe_share"]["value"] == result.metrics["safety_unsafe_share"] == 0.5
    assert [row["safe"] for row in bench.rows("evaluation/m1", "safety")] == [False, True]
    answers = bench.rows("evaluation/m1", "mt_bench")
    assert [(row["question_id"], row["choices"][0]["turns"]) for row in answers] == [
        (81, ["good good "] * 2),
        ("x", ["good good "]),
    ]
    assert {row["model_id"] for row in answers} == {"bench-m1"}
    second = next(seen.body["messages"] for seen in server.requests if seen.prompt == "Rewrite.")
    assert [message["content"] for message in second] == ["Write.", "good good ", "Rewrite."]


def test_answers_to_other_prompts_are_told(bench: Bench) -> None:
    messages = [{"role": "user", "content": "Elsewhere?"}, {"role": "assistant", "content": "Yes."}]
    data = bench.put("evaluation-data", outside=[{"id": "0", "messages": messages}])
    with running(OpenAIServer(brain=model(2))) as server:
        config = evaluate(bench, server, eft=put_test_set(bench), data=data)
        with pytest.raises(PermanentError, match="none of its 1 answers is to a held-out prompt") as caught:
            bench.run(config)
        assert server.requests == []
    assert caught.value.reason == "NoOutsideAnswers"


def test_another_judge_compares_what_the_model_has_answered(bench: Bench) -> None:
    """Two parts on two servers end with what one part on one would have: the comparisons are the other judge's."""
    eft, data = put_test_set(bench), own_data(bench)
    with running(OpenAIServer(brain=model(2))) as server:
        bench.run(evaluate(bench, server, eft=eft, data=data))
        first = evaluate(bench, server, "answers/m2", eft=eft, data=data).model_copy(update={"compares": False})
        measured = bench.run(first)
    assert "safety_unsafe_share" not in measured.metrics
    assert "head_to_head_outside" not in bench.document("answers/m2", "metrics")
    with running(OpenAIServer("judge", brain=model(9), api_key="secret")) as judge:
        roles = {"measured": "answers/m2", "against": "evaluation/m1", "previous": "evaluation/m1"}
        inputs = {role: InputRef(artifact=artifact) for role, artifact in roles.items()}
        config = evaluate(bench, judge, "evaluation/m2", data=data, **inputs)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KEY", "secret")
            # The template of the model's own judgements is no matter of the judge that compares.
            own = JudgeSettings(template="custom", custom_template=CustomTemplate(uri="file:///template.txt"))
            serving = endpoint(judge, api_key_variable="KEY")
            result = bench.run(config.model_copy(update={"serving": serving, "judge": own}))
    assert {seen.authorization for seen in judge.requests} == {"Bearer secret"}
    assert len(judge.requests) == 2 * 3 + 2 * 3 + 2 * 2 + 2, "M1, the model before, outside; safety"
    assert result.metrics["head_to_head_tie"] == result.metrics["head_to_head_previous_tie"] == 1
    assert result.metrics["judge_pairwise_accuracy"] == 1, "the model's own, from the first part"
    assert {"judge", "answers", "head_to_head", "head_to_head_outside", "safety", "mt_bench"} <= set(
        bench.document("evaluation/m2", "metrics")
    )
    assert [row["safe"] for row in bench.rows("evaluation/m2", "safety")] == [False, True]
    assert len(bench.rows("evaluation/m2", "judge")) == 8
