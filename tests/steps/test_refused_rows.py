"""One row that the server does not take, in every step that asks: it is left out, counted and told, and no more."""

import json
import random
from typing import Any

import pytest
from bench import Bench, endpoint
from generation import JUDGEMENTS, RESPONSES, judge, put_prompts, put_responses, respond
from openai_server import Fault, FaultKind, OpenAIServer, running
from plausible_model import Body, Brain, Reply, plausible
from selfreward_steps.contract import (
    EftConfig,
    EftMode,
    EftSettings,
    EvaluateConfig,
    EvaluationSettings,
    InputRef,
    JudgeSettings,
    PairsConfig,
    PairSettings,
    PromptsConfig,
    PromptSettings,
)
from selfreward_steps.errors import PermanentError

LONG = "This model's maximum context length is 2048 tokens. However, you requested 2300 tokens."


def server(match: str, brain: Brain = plausible, status: int = 400) -> OpenAIServer:
    """It does not take what contains `match`, however often it is asked."""
    refusal = Fault(FaultKind.STATUS, status=status, message=LONG, times=10**6, match=match)
    return OpenAIServer(brain=brain, faults=[refusal])


def told(bench: Bench, artifact: str) -> list[str]:
    """The rows of `refused.jsonl`; all of them for the reason that the server gave."""
    rows = bench.rows(artifact, "refused")
    assert {row["why"] for row in rows} == {LONG}
    return [row["id"] for row in rows]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_prompt_has_no_candidates(bench: Bench, capsys: pytest.CaptureFixture[str], status: int) -> None:
    with running(server("What is 3?", status=status)) as refusing:
        result = bench.run(respond(bench, refusing, put_prompts(bench)))
    rows = bench.rows(RESPONSES, "responses")
    assert [row["id"] for row in rows] == [f"1-{n:06d}" for n in range(10)]
    assert rows.pop(3) == {"id": "1-000003", "prompt": "What is 3?", "candidates": [], "tokens": None, "refused": LONG}
    assert {len(row["candidates"]) for row in rows} == {4}
    assert not any("refused" in row for row in rows)
    assert told(bench, RESPONSES) == ["1-000003"]
    assert (result.metrics["refused"], result.metrics["requests"]) == (1, 9)
    assert f"left out, since the server refused it: 1-000003: {LONG}" in capsys.readouterr().err


def test_a_candidate_has_no_judgements(bench: Bench) -> None:
    with running(server("It is 3 or 1")) as refusing:
        result = bench.run(judge(bench, refusing, put_responses(bench)))
    rows = bench.rows(JUDGEMENTS, "judgements")
    assert len(rows) == 24
    refused = rows.pop(3 * 4 + 1)
    assert refused == {
        "id": "1-000003",
        "candidate": 1,
        "scores": [],
        "critiques": [],
        "tokens": None,
        "refused": LONG,
    }
    assert {len(row["scores"]) for row in rows} == {3}
    assert told(bench, JUDGEMENTS) == ["1-000003/1"]
    assert (result.metrics["refused"], result.metrics["parse_rate"]) == (1, 1)


def test_pairs_are_made_of_what_is_left(bench: Bench) -> None:
    prompts = put_prompts(bench, 8)
    with running(server("What is 3?")) as refusing:
        bench.run(respond(bench, refusing, prompts))
    long = bench.rows(RESPONSES, "responses")[5]["candidates"]
    with running(server(long[2]["text"])) as refusing:
        bench.run(judge(bench, refusing, InputRef(artifact=RESPONSES)))
    inputs = {"prompts": prompts} | {
        name: InputRef(artifact=f"iteration-1/{name}") for name in ("responses", "judgements")
    }
    frame = bench.frame("iteration-1/pairs", **inputs)
    result = bench.run(PairsConfig(**frame, iteration=1, settings=PairSettings()))
    statistics = bench.document("iteration-1/pairs", "statistics")
    assert (statistics["prompts"], statistics["candidates"]) == (8, 28)
    assert statistics["prompts_without_pair"]["refused"] == 1
    assert (statistics["candidates_unscored"], statistics["candidates_refused"]) == (1, 1)
    assert (statistics["judgements"], statistics["parse_rate"]) == (27 * 3, 1)
    assert result.metrics["refused"] == 1
    learnt = bench.rows("iteration-1/pairs", "pairs")
    assert "1-000003" not in {row["id"] for row in learnt}
    assert long[2]["text"] not in json.dumps(learnt)


RANKED = [
    {
        "id": f"{n}",
        "prompt": f"Question {n}?",
        "answers": [{"content": "good " * (3 - rank) + f"{n}", "rank": rank} for rank in range(3)],
    }
    for n in range(8)
]


def by_goodness(body: Body, draw: random.Random) -> Reply:
    """People's taste, as a judge, in comparisons, and of what is safe."""
    text = body["messages"][-1]["content"]
    if "<response-a>" in text:
        first, second = (part.count("good") for part in text.split("<response-b>"))
        return Reply(f"Verdict: {'A' if first > second else 'B' if first < second else 'tie'}")
    if "<answer>" in text:
        return Reply("Verdict: safe")
    if "<response>" in text:
        return Reply(f"Score: {text.split('<response>')[1].count('good ')}")
    return Reply(f"good good to {text}")


def eft(bench: Bench, refusing: OpenAIServer, seed: InputRef) -> EftConfig:
    return EftConfig(
        **bench.frame("eft", seed=seed),
        settings=EftSettings(mode=EftMode.FILTERED, max_score_share=1, test_fraction=0),
        judge=JudgeSettings(),
        serving=endpoint(refusing),
    )


def test_a_ranked_answer_is_not_learnt_from(bench: Bench) -> None:
    asked = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "yes"}]
    seed = bench.put("seed", instructions=[{"id": "i", "messages": asked}], rankings=RANKED)
    with running(server("good good 4", by_goodness)) as refusing:
        result = bench.run(eft(bench, refusing, seed))
    train = bench.rows("eft", "train")
    # The one answer that is left of prompt 4 has nothing to stand in order with.
    assert {row["id"] for row in train} == {f"{n}-{place}" for n in range(8) if n != 4 for place in range(3)}
    assert told(bench, "eft") == ["4/0", "4/1"]
    assert (result.metrics["refused"], bench.document("eft", "statistics")["refused"]) == (2, 2)
    assert result.metrics["judgements"] == 3 * 22


def test_a_request_for_prompts_is_an_attempt_that_came_to_nothing(bench: Bench) -> None:
    asked = [
        [{"role": "user", "content": f"Explain thing {n}."}, {"role": "assistant", "content": "y"}] for n in range(12)
    ]
    seed = bench.put("seed", instructions=[{"id": f"{n}", "messages": turns} for n, turns in enumerate(asked)])
    frame = bench.frame("iteration-1/prompts", seed=seed)
    settings = PromptSettings(count=20)
    with running(server("Explain thing 7.")) as refusing:
        result = bench.run(PromptsConfig(**frame, iteration=1, settings=settings, serving=endpoint(refusing)))
    statistics = bench.document("iteration-1/prompts", "statistics")
    assert (statistics["prompts"], len(bench.rows("iteration-1/prompts", "prompts"))) == (20, 20)
    dropped = sum(value for name, value in statistics.items() if name.startswith("dropped_"))
    assert 0 < statistics["dropped_refused"] <= result.metrics["refused"]
    assert statistics["attempts"] == 20 + dropped


def put_evaluation_data(bench: Bench) -> InputRef:
    return bench.put(
        "evaluation-data",
        held_out=[{"id": f"own-{n}", "prompt": f"Own {n}?"} for n in range(5)],
        mt_bench=[
            {"id": "81", "prompt": "Write.", "turns": ["Write.", "Rewrite."]},
            {"id": "82", "prompt": "Tell.", "turns": ["Tell.", "Retell."]},
        ],
        safety_prompts=[{"id": f"s{n}", "prompt": f"Safe {n}?"} for n in range(3)],
    )


def evaluate(bench: Bench, refusing: OpenAIServer, output: str, **inputs: InputRef) -> EvaluateConfig:
    return EvaluateConfig(
        **bench.frame(output, **inputs),
        settings=EvaluationSettings(prompts=5),
        judge=JudgeSettings(),
        serving=endpoint(refusing),
    )


@pytest.mark.parametrize(
    ("match", "names", "numbers"),
    [
        pytest.param(
            "good good 4", ["judgement/4/0", "judgement/4/1"], {"judge_judgements": 66, "judge_prompts": 8}, id="judge"
        ),
        # Nothing is asked about an answer that there is not.
        pytest.param("Own 2?", ["answer/own-2"], {"answers_prompts": 4, "head_to_head_prompts": 4}, id="answer"),
        pytest.param("Safe 1?", ["safety-answer/s1"], {"safety_prompts": 2, "safety_unparsed": 0}, id="safety answer"),
        pytest.param("Write.", ["turn/81/0"], {"mt_bench_questions": 1}, id="first turn"),
        pytest.param("Rewrite.", ["turn/81/1"], {"mt_bench_questions": 1}, id="second turn"),
        pytest.param(
            "<response-a>\ngood good to Own 2?\n</response-a>",
            ["against/own-2", "against/own-2"],
            {"head_to_head_prompts": 4, "head_to_head_unparsed": 0},
            id="comparison",
        ),
        pytest.param(
            "<answer>\ngood good to Safe 1?", ["safety/s1"], {"safety_prompts": 2, "safety_unparsed": 0}, id="safety"
        ),
    ],
)
def test_an_evaluation_goes_on_without(bench: Bench, match: str, names: list[str], numbers: dict[str, float]) -> None:
    eft, data = bench.put("eft", test=RANKED), put_evaluation_data(bench)
    with running(OpenAIServer(brain=by_goodness)) as calm:
        bench.run(evaluate(bench, calm, "evaluation/m1", eft=eft, data=data))
    with running(server(match, by_goodness)) as refusing:
        against = InputRef(artifact="evaluation/m1")
        result = bench.run(evaluate(bench, refusing, "evaluation/m2", eft=eft, data=data, against=against))
    assert told(bench, "evaluation/m2") == names
    assert result.metrics["refused"] == len(names)
    assert {name: result.metrics[name] for name in numbers} == numbers
    assert result.metrics["judge_pairwise_accuracy"] == 1
    assert result.metrics["head_to_head_tie"] == 1


def all_refused(bench: Bench, step: str, refusing: OpenAIServer) -> Any:
    match step:
        case "respond":
            return respond(bench, refusing, put_prompts(bench))
        case "judge":
            return judge(bench, refusing, put_responses(bench))
        case "eft":
            asked = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "yes"}]
            return eft(
                bench, refusing, bench.put("seed", instructions=[{"id": "i", "messages": asked}], rankings=RANKED)
            )
        case "evaluate":
            return evaluate(bench, refusing, "evaluation/m1", eft=bench.put("eft", test=RANKED))
    asked = [{"role": "user", "content": "Explain this."}, {"role": "assistant", "content": "yes"}]
    frame = bench.frame("iteration-1/prompts", seed=bench.put("seed", instructions=[{"id": "i", "messages": asked}]))
    return PromptsConfig(**frame, iteration=1, settings=PromptSettings(count=500), serving=endpoint(refusing))


@pytest.mark.parametrize("step", ["respond", "judge", "eft", "prompts", "evaluate"])
def test_a_step_that_is_refused_everything_fails_with_the_servers_words(bench: Bench, step: str) -> None:
    with running(server("")) as refusing:
        config = all_refused(bench, step, refusing)
        with pytest.raises(PermanentError) as caught:
            bench.run(config)
        assert caught.value.reason == "ServingRejected"
        assert f"the first with 400: {LONG}: change what the server objects to" in str(caught.value)
        # Writing prompts could go on for 20 times as many: it is given up.
        assert len(refusing.requests) <= 320
    # Once the user has mended it, nothing that was refused is remembered.
    with running(OpenAIServer(brain=plausible if step == "prompts" else by_goodness)) as mended:
        result = bench.run(config.model_copy(update={"serving": endpoint(mended)}))
    assert "refused" not in result.metrics


def test_a_shard_that_is_refused_leaves_the_verdict_to_pairs(bench: Bench) -> None:
    prompts = put_prompts(bench, 4)
    with running(server("")) as refusing:
        for shard in range(2):
            bench.run(respond(bench, refusing, prompts, shards=2), shard)
        responses = InputRef(artifact=RESPONSES, shards=2)
        for shard in range(2):
            bench.run(judge(bench, refusing, responses, shards=2), shard)
    inputs = {"prompts": prompts, "responses": responses, "judgements": InputRef(artifact=JUDGEMENTS, shards=2)}
    frame = bench.frame("iteration-1/pairs", **inputs)
    with pytest.raises(PermanentError, match=r"4 refused by a server.*read refused\.jsonl") as caught:
        bench.run(PairsConfig(**frame, iteration=1, settings=PairSettings()))
    assert caught.value.reason == "NoPreferencePairs"
    assert caught.value.metrics["refused"] == 4


def test_what_was_refused_is_asked_again_by_the_next_attempt(bench: Bench) -> None:
    config = respond(bench, OpenAIServer(), put_prompts(bench), concurrency=1)
    gone = Fault(FaultKind.STATUS, status=401, times=99, skip=7)
    with running(server("What is 3?")) as refusing:
        refusing.faults.append(gone)
        with pytest.raises(PermanentError, match="401"):
            bench.run(config.model_copy(update={"serving": endpoint(refusing, 1)}))
    with running(OpenAIServer()) as mended:
        result = bench.run(config.model_copy(update={"serving": endpoint(mended)}))
    assert "refused" not in result.metrics
    assert {len(row["candidates"]) for row in bench.rows(RESPONSES, "responses")} == {4}
    assert 0 < result.metrics["recovered"] < 10
