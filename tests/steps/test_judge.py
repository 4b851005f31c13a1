"""Step judge on a server: order, modes, templates, and what a judge can do wrong."""

import random

import pytest
from bench import Bench
from generation import JUDGEMENTS, judge, put_responses
from openai_server import OpenAIServer, running
from plausible_model import Body, Reply, plausible
from selfreward_steps.contract import (
    CustomTemplate,
    JudgeMode,
    JudgeSettings,
)
from selfreward_steps.errors import PermanentError


def test_judgements_of_every_candidate_in_order(bench: Bench) -> None:
    with running(OpenAIServer()) as server:
        result = bench.run(judge(bench, server, put_responses(bench)))
    rows = bench.rows(JUDGEMENTS, "judgements")
    assert [(row["id"], row["candidate"]) for row in rows] == [(f"1-{n:06d}", c) for n in range(6) for c in range(4)]
    for row in rows:
        assert len(row["scores"]) == len(row["critiques"]) == 3
        assert row["scores"] == [float(text.rsplit("Score: ", 1)[1]) for text in row["critiques"]]
        assert "mass" not in row
    assert len(server.requests) == 24
    assert {seen.body["n"] for seen in server.requests} == {3}
    assert result.metrics["candidates"] == 24
    assert result.metrics["parse_rate"] == 1


def test_candidates_of_one_prompt_are_sent_one_after_the_other(bench: Bench) -> None:
    with running(OpenAIServer()) as server:
        bench.run(judge(bench, server, put_responses(bench), concurrency=1))
    asked = [seen.prompt.split("User: What is ", 1)[1][0] for seen in server.requests]
    assert asked == [str(n) for n in range(6) for _ in range(4)]


def erratic(body: Body, draw: random.Random) -> Reply:
    """Every kind of answer that a weak judge gives."""
    ends = ["Score: 4", "Score: 7", "Score: <total points>", "I like it.", "Score: 2/5", "Score: 8/10"]
    return Reply("Let me think. " + draw.choice(ends))


def test_what_does_not_parse_is_null_and_counted(bench: Bench) -> None:
    with running(OpenAIServer(brain=erratic)) as server:
        result = bench.run(judge(bench, server, put_responses(bench)))
    rows = bench.rows(JUDGEMENTS, "judgements")
    for row in rows:
        for score, critique in zip(row["scores"], row["critiques"], strict=True):
            assert score == {"4": 4, "5": 2}.get(critique[-1] if "7" not in critique else "")
    scores = [score for row in rows for score in row["scores"]]
    assert 0 < scores.count(None) < len(scores) == 72
    assert result.metrics["parse_rate"] == pytest.approx(1 - scores.count(None) / 72)


def test_a_judge_that_never_gives_a_score_is_one_clear_error(bench: Bench) -> None:
    with running(OpenAIServer(brain=lambda body, draw: Reply("I like it a lot."))) as server:
        config = judge(bench, server, put_responses(bench))
        with pytest.raises(PermanentError) as caught:
            bench.run(config)
    assert caught.value.reason == "NoScores"
    assert "none of 72 judgements by tiny states a score with template additive-prefix" in str(caught.value)
    assert "'I like it a lot.'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hopeless_judge_is_given_up_early(bench: Bench) -> None:
    with running(OpenAIServer(brain=lambda body, draw: Reply("I like it a lot."))) as server:
        config = judge(bench, server, put_responses(bench, 200))
        with pytest.raises(PermanentError, match="none of 300 judgements") as caught:
            bench.run(config)
    assert caught.value.reason == "NoScores"
    assert len(server.requests) <= 100 + 12


def test_a_small_shard_without_a_score_leaves_the_verdict_to_pairs(bench: Bench) -> None:
    bench.put("responses/shard-00000")
    responses = put_responses(bench, 2, artifact="responses/shard-00001")
    with running(OpenAIServer(brain=lambda body, draw: Reply("I like it a lot."))) as server:
        sharded = responses.model_copy(update={"artifact": "responses", "shards": 2})
        result = bench.run(judge(bench, server, sharded, shards=2), 1)
    assert result.metrics["parse_rate"] == 0
    rows = bench.rows(f"{JUDGEMENTS}/shard-00001", "judgements")
    assert [row["scores"] for row in rows] == [[None] * 3] * 8


def test_logprob_mode_asks_for_one_token_and_weighs_it(bench: Bench) -> None:
    with running(OpenAIServer()) as server:
        settings = JudgeSettings(mode=JudgeMode.LOGPROB)
        bench.run(judge(bench, server, put_responses(bench, 2), settings=settings))
    body = server.requests[0].body
    assert body["max_tokens"] == 1
    assert body["logprobs"] is True
    assert body["top_logprobs"] == 20
    assert (body["temperature"], body["top_p"]) == (1, 1)
    assert "n" not in body
    for row in bench.rows(JUDGEMENTS, "judgements"):
        (score,) = row["scores"]
        assert 0 < score < 5
        assert score != round(score)
        assert row["mass"] == pytest.approx(1)


def test_logprob_mode_without_a_score_token_has_no_score(bench: Bench) -> None:
    def brain(body: Body, draw: random.Random) -> Reply:
        return Reply("4", {"4": 0.6, "The": 0.4}) if "What is 0?" in str(body) else Reply("The", {"The": 0.9, "9": 0.1})

    with running(OpenAIServer(brain=brain)) as server:
        settings = JudgeSettings(mode=JudgeMode.LOGPROB)
        bench.run(judge(bench, server, put_responses(bench, 2, 2), settings=settings))
    found = [(row["scores"], row["mass"]) for row in bench.rows(JUDGEMENTS, "judgements")]
    assert found == [([4], pytest.approx(0.6))] * 2 + [([None], 0)] * 2


def test_a_server_without_logprobs_is_named(bench: Bench) -> None:
    with running(OpenAIServer(logprobs=False)) as server:
        config = judge(bench, server, put_responses(bench), settings=JudgeSettings(mode=JudgeMode.LOGPROB))
        with pytest.raises(PermanentError, match=r"judge\.mode: logprob.*use mode cot") as caught:
            bench.run(config)
    assert caught.value.reason == "LogprobsMissing"


def test_a_template_that_cannot_work_is_told_before_a_server_is_asked(bench: Bench) -> None:
    settings = JudgeSettings(template="custom", custom_template=CustomTemplate(text="{prompt} only"))
    with running(OpenAIServer()) as server:
        config = judge(bench, server, put_responses(bench), settings=settings)
        with pytest.raises(PermanentError, match="has no placeholder"):
            bench.run(config)
        assert server.requests == []


def test_a_pattern_that_matches_nothing_is_a_judge_without_scores(bench: Bench) -> None:
    template = CustomTemplate(text="{prompt} <response>{response}</response>", score_pattern=r"Punkte: (\d)")
    settings = JudgeSettings(template="custom", custom_template=template)
    with running(OpenAIServer()) as server:
        config = judge(bench, server, put_responses(bench), settings=settings)
        with pytest.raises(PermanentError, match="none of 72 judgements") as caught:
            bench.run(config)
    assert caught.value.reason == "NoScores"


def test_the_server_is_kept_busy_while_judging(bench: Bench) -> None:
    slow = OpenAIServer(delay=lambda body: 0.2 + len(body["messages"][0]["content"]) % 5 * 0.05)
    with running(slow) as server:
        result = bench.run(judge(bench, server, put_responses(bench, 40), concurrency=16))
    assert server.peak == 16
    assert result.metrics["concurrency_configured"] == 16
    assert result.metrics["concurrency_measured"] > 15


def test_a_long_critique_keeps_its_last_word(bench: Bench) -> None:
    def brain(body: Body, draw: random.Random) -> Reply:
        reply = plausible(body, draw)
        return Reply("Score: 1 at first sight. " + reply.text)

    with running(OpenAIServer(brain=brain)) as server:
        bench.run(judge(bench, server, put_responses(bench, 2)))
    for row in bench.rows(JUDGEMENTS, "judgements"):
        assert row["scores"] == [float(text[-1]) for text in row["critiques"]]
