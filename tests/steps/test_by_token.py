"""Judgements by token (`judge.mode: logprob`), from the judge to the pairs."""

import random

import pytest
from bench import Bench
from generation import JUDGEMENTS, judge, put_prompts, put_responses
from openai_server import OpenAIServer, running
from plausible_model import Body, Reply
from selfreward_steps.contract import InputRef, JudgeMode, JudgeSettings, PairsConfig, PairSettings, PairStrategy
from selfreward_steps.errors import PermanentError


def test_the_mass_of_scores_is_told(bench: Bench) -> None:
    def brain(body: Body, draw: random.Random) -> Reply:
        sure = "What is 0?" in str(body)
        return Reply("4", {"4": 0.9, "The": 0.1}) if sure else Reply("The", {"4": 0.3, "The": 0.7})

    prompts, responses = put_prompts(bench, 2), put_responses(bench, 2, 2)
    with running(OpenAIServer(brain=brain)) as judging:
        settings = JudgeSettings(mode=JudgeMode.LOGPROB)
        result = bench.run(judge(bench, judging, responses, settings=settings))
    assert [row["scores"] for row in bench.rows(JUDGEMENTS, "judgements")] == [[4], [4], [None], [None]]
    assert (result.metrics["parse_rate"], result.metrics["mean_score_mass"]) == (0.5, pytest.approx(0.6))
    inputs = {"prompts": prompts, "responses": responses, "judgements": InputRef(artifact=JUDGEMENTS)}
    with pytest.raises(PermanentError) as caught:
        bench.run(PairsConfig(**bench.frame("iteration-1/pairs", **inputs), iteration=1, settings=PairSettings()))
    assert caught.value.metrics["mean_score_mass"] == pytest.approx(0.6)
    assert "judge.mode: logprob" not in str(caught.value)


def test_an_expected_score_is_perfect_when_it_is_nearest_to_the_top_one(bench: Bench) -> None:
    """It never reaches 5, so nothing would ever be learnt by `positive-only`."""

    def brain(body: Body, draw: random.Random) -> Reply:
        share = 0.97 if "It is 0 or 1" in str(body) else 0.4
        return Reply("5", {"5": share, "4": 1 - share})

    prompts, responses = put_prompts(bench, 1), put_responses(bench, 1, 2)
    with running(OpenAIServer(brain=brain)) as judging:
        bench.run(judge(bench, judging, responses, settings=JudgeSettings(mode=JudgeMode.LOGPROB)))
    inputs = {"prompts": prompts, "responses": responses, "judgements": InputRef(artifact=JUDGEMENTS)}
    settings = PairSettings(strategy=PairStrategy.POSITIVE_ONLY)
    bench.run(PairsConfig(**bench.frame("iteration-1/pairs", **inputs), iteration=1, settings=settings))
    (row,) = bench.rows("iteration-1/pairs", "pairs")
    assert row["chosen_score"] == pytest.approx(4.97)
