"""Drift from the judge before: one that is inconsistent on purpose trips its gate, the same one has none."""

from __future__ import annotations

import random
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from bench import Bench, endpoint
from openai_server import OpenAIServer, running
from plan.scenes import scene
from plausible_model import Body, Reply
from selfreward.api import ConditionType
from selfreward_steps.contract import EvaluateConfig, EvaluationSettings, InputRef, JudgeSettings
from selfreward_steps.measuring.judge_drift import judge_drift

PROMPTS = 30
GOODS = (4, 3, 2, 1)
"""Of each prompt's answers, best first: what the judge before says of them."""
SEEDS = 20


def scored(score: Callable[[int, str], int]) -> Any:
    """A judge that says this of an answer with so many times `good` in it."""

    def brain(body: Body, draw: random.Random) -> Reply:
        text = body["messages"][-1]["content"]
        if "<response-a>" in text:
            return Reply("Verdict: tie")
        if "<response>" in text:
            return Reply(f"Score: {score(text.split('<response>')[1].count('good'), text)}")
        return Reply("good")

    return brain


def as_before(goods: int, text: str) -> int:
    return goods


JUDGES: dict[str, tuple[Callable[[int, str], int], float, float, bool]] = {
    "the same": (as_before, 0, 0, False),
    "all higher by one": (lambda goods, text: goods + 1, 0, 0, False),
    "reversed": (lambda goods, text: 4 - goods, 2, 2, True),
    "shuffled": (lambda goods, text: sha256(text.encode()).digest()[0] % 6, 0.8, 1.4, True),
    "one score for all": (lambda goods, text: 4, 1, 1, True),
}


def evaluated(bench: Bench, output: str, judge: Any, **inputs: InputRef) -> dict[str, float]:
    with running(OpenAIServer(brain=scored(judge))) as server:
        result = bench.run(
            EvaluateConfig(
                **bench.frame(output, **inputs),
                settings=EvaluationSettings(prompts=1),
                judge=JudgeSettings(samples=1),
                serving=endpoint(server),
            )
        )
    return dict(result.metrics)


def ranked(bench: Bench) -> InputRef:
    answers = [{"content": "good " * good, "rank": rank} for rank, good in enumerate(GOODS)]
    return bench.put(
        "eft", test=[{"id": f"{n}", "prompt": f"Question {n}?", "answers": answers} for n in range(PROMPTS)]
    )


def trips_gate(found: dict[str, float]) -> bool:
    """Whether the user is told of these numbers of M2's evaluation."""
    moment = scene("nothing", iterations=1)
    moment.put("evaluate-m2", metrics={name: found[name] for name in ("judge_drift", "judge_drift_prompts")})
    told = [each.message for each in moment.decide().status.conditions if each.type is ConditionType.GATE_TRIPPED]
    return any("gates.judgeDrift" in message for message in told)


@pytest.mark.parametrize(("judge", "low", "high", "trips"), JUDGES.values(), ids=JUDGES.keys())
def test_a_judge_that_is_made_inconsistent_trips_its_gate(
    bench: Bench, judge: Callable[[int, str], int], low: float, high: float, trips: bool
) -> None:
    eft, m1 = ranked(bench), InputRef(artifact="evaluation/m1")
    assert "judge_drift" not in evaluated(bench, "evaluation/m1", as_before, eft=eft), "nobody was before"
    found = evaluated(bench, "evaluation/m2", judge, eft=eft, against=m1)
    assert low <= found["judge_drift"] <= high
    assert found["judge_drift_prompts"] == PROMPTS
    assert bench.document("evaluation/m2", "metrics")["judge"]["drift"]["count"] == PROMPTS
    assert trips_gate(found) is trips


@pytest.mark.parametrize(("trips", "scores"), [(True, "by chance"), (False, "half a point off")])
def test_the_gate_trips_with_every_seed_of_an_inconsistent_judge_and_with_none_of_a_noisy_one(
    trips: bool, scores: str
) -> None:
    told = 0
    for seed in range(SEEDS):
        draw = random.Random(f"{scores}/{seed}")
        judged = [[draw.randint(0, 5) if trips else good + draw.randint(0, 1) for good in GOODS] for _ in range(100)]
        drift = judge_drift([(each, GOODS) for each in judged], seed)
        assert drift.value is not None
        told += trips_gate({"judge_drift": drift.value, "judge_drift_prompts": drift.count})
    assert told == (SEEDS if trips else 0)


def test_a_later_model_is_held_against_the_one_before_and_not_m1(bench: Bench) -> None:
    """In two parts too, where another judge compares: the rows are those that the first part has measured."""
    eft, m1 = ranked(bench), InputRef(artifact="evaluation/m1")
    evaluated(bench, "evaluation/m1", as_before, eft=eft)
    evaluated(bench, "evaluation/m2", lambda goods, text: 4 - goods, eft=eft, against=m1)
    others = {"against": m1, "previous": InputRef(artifact="evaluation/m2")}
    assert evaluated(bench, "evaluation/m3", as_before, eft=eft, **others)["judge_drift"] == 2
    assert "judge_drift" not in evaluated(bench, "answers/m3", as_before, eft=eft)
    measured = InputRef(artifact="answers/m3")
    assert evaluated(bench, "evaluation/m3b", as_before, measured=measured, **others)["judge_drift"] == 2
