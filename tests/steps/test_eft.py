"""Step eft in its three modes, on a server that judges with a taste of its own."""

import random

import pytest
from bench import Bench, endpoint
from openai_server import OpenAIServer, running
from plausible_model import Body, Reply
from selfreward_steps.contract import EftConfig, EftMode, EftSettings, InputRef, JudgeSettings
from selfreward_steps.errors import PermanentError
from server_faults import Fault, FaultKind

GIVEN = [{"id": "g", "prompt": "ready", "response": "r", "critique": "c", "score": 2.0}]


def put_seed(bench: Bench, prompts: int = 12, given: bool = False) -> InputRef:
    rankings = [
        {
            "id": f"{n}",
            "prompt": f"Question {n}?",
            "answers": [{"content": "good " * (3 - rank) + f"{n}", "rank": rank} for rank in range(3)],
        }
        for n in range(prompts)
    ]
    asked = [{"role": "user", "content": "Question 0?"}, {"role": "assistant", "content": "yes"}]
    files = {"instructions": [{"id": "i", "messages": asked}], "rankings": rankings}
    return bench.put("seed", **files, **({"eft": GIVEN} if given else {}))


def eft(bench: Bench, seed: InputRef, mode: EftMode, server: OpenAIServer | None = None) -> EftConfig:
    return EftConfig(
        **bench.frame("eft", seed=seed),
        settings=EftSettings(mode=mode, max_score_share=1),
        judge=JudgeSettings(),
        serving=endpoint(server) if server else None,
    )


def by_goodness(body: Body, draw: random.Random) -> Reply:
    """People's taste: more `good` is better; but of odd questions the opposite."""
    text = body["messages"][-1]["content"]
    goodness = text.count("good ")
    odd = int(text.rsplit("Question ", 1)[1].split("?", 1)[0]) % 2
    return Reply(f"I count {goodness}.\nScore: {4 - goodness if odd else goodness}")


def test_filtered_keeps_what_agrees_with_people(bench: Bench) -> None:
    with running(OpenAIServer(brain=by_goodness)) as server:
        result = bench.run(eft(bench, put_seed(bench), EftMode.FILTERED, server))
    train, test = bench.rows("eft", "train"), bench.rows("eft", "test")
    assert len(test) == 3
    assert {row["prompt"] for row in train} & {row["prompt"] for row in test} == set()
    assert train
    assert all(int(row["id"].split("-")[0]) % 2 == 0 for row in train)
    assert all(row["critique"].endswith(f"Score: {row['score']:g}") for row in train)
    assert result.metrics["examples"] == len(train) == 3 * result.metrics["agreeing_prompts"]
    assert result.metrics["parsed"] == result.metrics["judgements"] == 9 * 3 * 3
    assert result.metrics["test_prompts_left_out"] == 1  # question 0 is an instruction too
    third = len(train) // 3
    assert bench.document("eft", "statistics")["scores"] == {"1": third, "2": third, "3": third}


def unsteady(body: Body, draw: random.Random) -> Reply:
    """By goodness, give or take a point, and it does not stop where it has said so."""
    text = body["messages"][-1]["content"]
    score = min(5, max(0, text.count("good ") + draw.choice([-1, 0, 1, 2])))
    return Reply(f"I count {text.count('good ')}.\nScore: {score}\n\nIs there anything else?")


def test_what_is_learnt_of_an_unsteady_judge_agrees_with_people(bench: Bench) -> None:
    """Means are filtered; of the single judgements that are kept some would contradict people, or be all one."""
    with running(OpenAIServer(brain=unsteady)) as server:
        result = bench.run(eft(bench, put_seed(bench, prompts=120), EftMode.FILTERED, server))
    train = bench.rows("eft", "train")
    by_prompt: dict[str, dict[int, float]] = {}
    for row in train:
        prompt, answer = row["id"].split("-")
        by_prompt.setdefault(prompt, {})[int(answer)] = row["score"]
    assert len(by_prompt) == result.metrics["agreeing_prompts"] > 20
    for scores in by_prompt.values():
        assert scores[0] >= scores[1] >= scores[2], "people's order: the answers are ranked as they come"
        assert scores[0] > scores[2]
    assert all(row["critique"].endswith(f"Score: {row['score']:g}") for row in train)
    assert bench.document("eft", "statistics")["agreeing_by_mean_only"] == result.metrics["agreeing_by_mean_only"]


def test_ready_examples_are_always_there(bench: Bench) -> None:
    with running(OpenAIServer(brain=lambda body, draw: Reply("Lovely."))) as server:
        result = bench.run(eft(bench, put_seed(bench, given=True), EftMode.FILTERED, server))
    assert bench.rows("eft", "train") == GIVEN
    assert (result.metrics["parsed"], result.metrics["judgements"]) == (0, 81)


def test_direct_maps_ranks_without_a_server(bench: Bench) -> None:
    bench.run(eft(bench, put_seed(bench), EftMode.DIRECT))
    train = bench.rows("eft", "train")
    assert len(train) == 9 * 3
    assert {(row["id"].split("-")[1], row["score"]) for row in train} == {("0", 5), ("1", 3), ("2", 0)}


def test_given_leaves_every_ranking_to_the_test(bench: Bench) -> None:
    bench.run(eft(bench, put_seed(bench, given=True), EftMode.GIVEN))
    assert bench.rows("eft", "train") == GIVEN
    assert len(bench.rows("eft", "test")) == 11


def test_nothing_left_to_learn_from_names_the_numbers(bench: Bench) -> None:
    with running(OpenAIServer(brain=lambda body, draw: Reply("Score: 3"))) as server:
        config = eft(bench, put_seed(bench), EftMode.FILTERED, server)
        with pytest.raises(PermanentError) as caught:
            bench.run(config)
    assert caught.value.reason == "NoEftExamples"
    assert "9 ranked prompts gave 81 judgements, of which 81 stated a score and 0 prompts agreed" in str(caught.value)


def test_a_second_attempt_asks_only_what_is_missing(bench: Bench) -> None:
    refused = Fault(FaultKind.STATUS, times=100, skip=10, status=401)
    with running(OpenAIServer(brain=by_goodness, faults=[refused])) as server:
        config = eft(bench, put_seed(bench), EftMode.FILTERED, server)
        with pytest.raises(PermanentError):
            bench.run(config.model_copy(update={"serving": endpoint(server, 1)}))
    with running(OpenAIServer(brain=by_goodness)) as mended:
        result = bench.run(config.model_copy(update={"serving": endpoint(mended)}))
    assert result.metrics["requests"] == len(mended.requests) == 27 - 10
    assert result.metrics["judgements"] == 81
