"""What training has seen is not asked, whichever way it saw it; without overlap an evaluation is what it was."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from bench import Bench, endpoint
from openai_server import OpenAIServer, running
from plausible_model import Body, Reply
from selfreward_steps.contract import EvaluateConfig, EvaluationSettings, InputRef, JudgeSettings, StepResult

Rows = list[Mapping[str, Any]]


def prompts(*texts: str) -> Rows:
    return [{"id": f"p{number}", "prompt": text} for number, text in enumerate(texts)]


def ranked(*texts: str) -> Rows:
    answers = [{"content": f"answer {rank}", "rank": rank} for rank in range(2)]
    return [{"id": f"r{number}", "prompt": text, "answers": answers} for number, text in enumerate(texts)]


def taught(question: str, *more: str) -> Rows:
    turns = [{"role": role, "content": text} for text in (question, *more) for role in ("user", "assistant")]
    return [{"id": "i", "messages": turns}]


def judgement(prompt: str) -> Rows:
    return [{"id": "e", "prompt": prompt, "response": "a", "critique": "", "score": 3.0}]


def evaluate(bench: Bench, files: Mapping[str, Mapping[str, Rows]]) -> StepResult:
    """An evaluation whose inputs hold `files` by role."""
    inputs: dict[str, InputRef] = {role: bench.put(f"of/{role}", **each) for role, each in files.items()}

    def brain(body: Body, draw: random.Random) -> Reply:
        return Reply("Score: 3" if "<response>" in body["messages"][-1]["content"] else "An answer.")

    with running(OpenAIServer(brain=brain)) as server:
        config = EvaluateConfig(
            **bench.frame("evaluation/m2", **inputs),
            settings=EvaluationSettings(prompts=3),
            judge=JudgeSettings(samples=1),
            serving=endpoint(server),
        )
        return bench.run(config)


OWN = {"held_out": prompts("Name a river.", "Name a lake.", "Name a sea.", "Name a bay.")}


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param({"seen": {"instructions": taught("name A  lake!")}}, id="instruction"),
        pytest.param({"seen": {"instructions": taught("Hello.", "Name a lake")}}, id="later turn of an instruction"),
        pytest.param({"seen": {"eft": judgement("NAME A LAKE")}}, id="ready judgement"),
        pytest.param({"seen": {"prompts": prompts("name a lake")}}, id="prompt that the generator is shown"),
        pytest.param({"seen": {"rankings": ranked("name a lake")}}, id="ranked prompt"),
        pytest.param({"eft": {"train": judgement("name a lake"), "test": []}}, id="judgement that was made"),
        pytest.param({"prompts-1": {"prompts": prompts("x", "Name a\nlake")}}, id="prompt of a round"),
    ],
)
def test_a_prompt_that_training_has_seen_is_not_asked(bench: Bench, seen: Mapping[str, Any]) -> None:
    result = evaluate(bench, {"data": OWN, **seen})
    assert [row["id"] for row in bench.rows("evaluation/m2", "answers")] == ["p0", "p2", "p3"]
    assert bench.rows("evaluation/m2", "seen") == [{"id": "p1", "prompt": "Name a lake.", "of": "answer"}]
    assert bench.document("evaluation/m2", "metrics")["seen"] == {"prompts": 1, "answer": 1}
    assert result.metrics["seen_prompts"] == 1


def test_all_that_the_user_brings_is_looked_through(bench: Bench) -> None:
    own = {
        "held_out": prompts("a b", "c d"),
        "safety_prompts": prompts("C d", "e f"),
        "mt_bench": [{"id": "q", "prompt": "c D.", "turns": ["c D.", "Why?"]}],
    }
    result = evaluate(bench, {"data": own, "prompts-1": {"prompts": prompts("C D")}})
    seen = {name: value for name, value in result.metrics.items() if name.startswith("seen_")}
    assert seen == {"seen_prompts": 3, "seen_answer": 1, "seen_safety_answer": 1, "seen_turn": 1}
    assert "mt_bench" not in bench.document("evaluation/m2", "metrics")
    assert [row["id"] for row in bench.rows("evaluation/m2", "safety")] == ["p1"]


def test_the_judge_is_not_tested_on_what_a_round_has_learnt(bench: Bench) -> None:
    eft = {"train": [], "test": ranked("Name a river.", "Name a lake.")}
    result = evaluate(bench, {"eft": eft, "prompts-1": {"prompts": prompts("name a lake")}})
    assert (result.metrics["judge_prompts"], result.metrics["answers_prompts"]) == (1, 1)
    assert (result.metrics["seen_judgement"], result.metrics["seen_answer"]) == (1, 1)


def test_without_overlap_nothing_is_said_of_it(bench: Bench) -> None:
    eft = {"train": judgement("Name a hill."), "test": ranked("Name a dune.")}
    rounds = {"prompts-1": {"prompts": prompts("Name a wood.")}}
    seed = {"prompts": prompts("Name a moor."), "rankings": ranked("Name a dune.", "Name a hill.")}
    result = evaluate(bench, {"data": OWN, "eft": eft, "seen": seed, **rounds})
    assert [row["id"] for row in bench.rows("evaluation/m2", "answers")] == ["p0", "p1", "p2"]
    assert result.metrics["judge_prompts"] == 1
    assert not [name for name in (*result.metrics, *bench.document("evaluation/m2", "metrics")) if "seen" in name]


def test_prompts_that_are_held_out_are_no_overlap_with_themselves(bench: Bench) -> None:
    """Where the user brings none, those of `prompts.source` and of the judge's test set are asked."""
    seed = {"prompts": prompts("Name a moor.", "Name a hill."), "instructions": taught("name a hill")}
    own = {"safety_prompts": prompts("name a MOOR")}
    eft = {"train": [], "test": ranked("Name a dune.")}
    result = evaluate(bench, {"data": own, "eft": eft, "seed": seed, "seen": seed})
    assert [row["id"] for row in bench.rows("evaluation/m2", "answers")] == ["r0", "p0"]
    assert (result.metrics["seen_answer"], result.metrics["seen_safety_answer"]) == (1, 1)
