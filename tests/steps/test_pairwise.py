"""A judge that compares, through the steps: what is asked, kept, folded, paired and measured."""

import random

import pytest
from bench import Bench, endpoint
from generation import JUDGEMENTS, judge, put_responses
from openai_server import OpenAIServer, running
from plausible_model import Body, Reply
from selfreward_steps.contract import (
    EftConfig,
    EftMode,
    EftSettings,
    EvaluateConfig,
    EvaluationSettings,
    InputRef,
    JudgeMode,
    JudgeSettings,
    PairsConfig,
    PairSettings,
)
from selfreward_steps.errors import PermanentError
from server_faults import Fault, FaultKind
from steps.test_evaluate import put_test_set

PAIRWISE = JudgeSettings(mode=JudgeMode.PAIRWISE)


def longer_wins(body: Body, draw: random.Random) -> Reply:
    first, second = body["messages"][-1]["content"].split("<response-a>")[1].split("<response-b>")
    longer = len(first.split("</response-a>")[0]) - len(second.split("</response-b>")[0])
    return Reply(f"Longer.\nVerdict: {'A' if longer > 0 else 'B' if longer < 0 else 'tie'}")


def first_wins(body: Body, draw: random.Random) -> Reply:
    return Reply("Verdict: A")


def put_prompts(bench: Bench, count: int) -> InputRef:
    return bench.put("prompts", prompts=[{"id": f"1-{n:06d}", "prompt": f"What is {n}?"} for n in range(count)])


def pairs(bench: Bench, prompts: InputRef) -> PairsConfig:
    inputs = {"responses": InputRef(artifact="responses"), "judgements": InputRef(artifact=JUDGEMENTS)}
    return PairsConfig(
        **bench.frame("pairs", prompts=prompts, **inputs), iteration=1, settings=PairSettings(), max_score=1
    )


def test_candidates_are_compared_and_paired(bench: Bench) -> None:
    with running(OpenAIServer(brain=longer_wins)) as server:
        result = bench.run(judge(bench, server, put_responses(bench, 3), settings=PAIRWISE))
    assert len(server.requests) == 3 * 12
    assert {seen.body.get("n", 1) for seen in server.requests} == {1}
    rows = bench.rows(JUDGEMENTS, "judgements")
    assert [(row["id"], row["candidate"]) for row in rows] == [(f"1-{n:06d}", c) for n in range(3) for c in range(4)]
    assert [row["scores"] for row in rows[:4]] == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert all(len(row["critiques"]) == 3 and row["flips"] == [] for row in rows)
    assert result.metrics["candidates"] == 12
    assert (result.metrics["parse_rate"], result.metrics["position_bias"]) == (1, 0)
    ended = bench.run(pairs(bench, put_prompts(bench, 3)))
    chosen = [(row["chosen_score"], row["rejected_score"]) for row in bench.rows("pairs", "pairs")]
    assert chosen == [(1, 0)] * 3
    assert ended.metrics["position_bias"] == 0


def test_a_restart_asks_for_the_missing_comparisons(bench: Bench) -> None:
    responses = put_responses(bench, 3)
    denied = OpenAIServer(brain=longer_wins, faults=[Fault(FaultKind.STATUS, skip=20, status=401)])
    with running(denied) as server, pytest.raises(PermanentError):
        bench.run(judge(bench, server, responses, settings=PAIRWISE, concurrency=1))
    with running(OpenAIServer(brain=longer_wins)) as server:
        result = bench.run(judge(bench, server, responses, settings=PAIRWISE))
    assert len(server.requests) == 16
    assert result.metrics["recovered"] == 20
    assert [row["scores"] for row in bench.rows(JUDGEMENTS, "judgements")[:2]] == [[0, 0, 0], [1, 0, 0]]


def test_a_verdict_that_follows_the_order_makes_no_pair(bench: Bench) -> None:
    """Without its flips the first of a prompt would be tied with the last; here the judge likes the first place, but
    for the longest answer, which wins everywhere."""

    def brain(body: Body, draw: random.Random) -> Reply:
        return longer_wins(body, draw) if "or 3" in str(body) else first_wins(body, draw)

    with running(OpenAIServer(brain=brain)) as server:
        result = bench.run(judge(bench, server, put_responses(bench, 2), settings=PAIRWISE))
    assert result.metrics["position_bias"] == pytest.approx(6 / 12)
    rows = bench.rows(JUDGEMENTS, "judgements")
    assert [row["flips"] for row in rows[:4]] == [[1, 2], [0, 2], [0, 1], []]
    assert [row["scores"] for row in rows[:4]] == [[0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, 0.5, 0], [1, 1, 1]]
    bench.run(pairs(bench, put_prompts(bench, 2)))
    assert bench.document("pairs", "statistics")["intervals"]["position_bias"]["value"] == 0.5


def test_a_judge_that_says_no_verdict_is_one_clear_error(bench: Bench) -> None:
    with running(OpenAIServer(brain=lambda body, draw: Reply("I like it."))) as server:
        config = judge(bench, server, put_responses(bench), settings=PAIRWISE)
        with pytest.raises(PermanentError, match=r"judge\.mode pairwise: none of 72 judgements .* states a verdict"):
            bench.run(config)


@pytest.mark.parametrize(
    ("brain", "accuracy", "bias"), [(longer_wins, 1.0, 0.0), (first_wins, 0.5, 1.0)], ids=["people's", "by place"]
)
def test_the_judge_is_measured_as_it_judges(bench: Bench, brain: object, accuracy: float, bias: float) -> None:
    with running(OpenAIServer(brain=brain)) as server:  # type: ignore[arg-type]
        config = EvaluateConfig(
            **bench.frame("evaluation/m1", eft=put_test_set(bench)),
            settings=EvaluationSettings(prompts=0),
            judge=PAIRWISE,
            serving=endpoint(server),
        )
        result = bench.run(config)
    assert len(server.requests) == 8 * 6
    assert result.metrics["judge_pairwise_accuracy"] == accuracy
    assert result.metrics["judge_position_bias"] == bias


def test_ranked_answers_become_verdicts(bench: Bench) -> None:
    """Both orders of every two that people rank apart, so that neither place is the better one."""
    ranks = [0, 1, 1]
    answers = [{"content": f"answer {place}", "rank": rank} for place, rank in enumerate(ranks)]
    seed = bench.put("seed", instructions=[], rankings=[{"id": "r", "prompt": "Q?", "answers": answers}])
    config = EftConfig(
        **bench.frame("eft", seed=seed), settings=EftSettings(mode=EftMode.DIRECT, test_fraction=0), judge=PAIRWISE
    )
    bench.run(config)
    rows = [(row["response"], row["other"], row["score"]) for row in bench.rows("eft", "train")]
    assert rows == [
        ("answer 0", "answer 1", 1),
        ("answer 0", "answer 2", 1),
        ("answer 1", "answer 0", 0),
        ("answer 2", "answer 0", 0),
    ]
