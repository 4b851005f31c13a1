"""The estimate of whole runs: rows in the order in which they come, requests as the steps send them."""

from __future__ import annotations

from typing import Any

import pytest
from selfreward.api import Keeping, SelfRewardRunSpec
from selfreward.estimate import GPUS, Assumptions, Hardware, RunEstimate, Seeds, estimate_run, fitted
from selfreward.estimate.assumptions import Range
from selfreward.estimate.shape import typical
from selfreward.estimate.workload import CHARACTERS_A_TOKEN, WORK, rubric_tokens
from selfreward.render.memory import GPU_MEMORY_LABEL
from selfreward_steps.contract import JudgeSettings, StepName
from selfreward_steps.judging.templates import judge_template

HERE = {GPU_MEMORY_LABEL: "143771"}
WHOLE = {
    "seedData": {"instructions": {"uri": "hf://datasets/a/b"}, "rankings": {"uri": "hf://datasets/a/b"}},
    "iterations": 1,
}
FROM_A_FILE = {"prompts": {"count": 1000, "generator": "file", "source": {"uri": "hf://datasets/a/b"}}}
PLAIN = {**FROM_A_FILE, "evaluation": {"enabled": False}}


def estimate(
    fields: dict[str, Any],
    *,
    keeping: Keeping = Keeping.ASLEEP,
    assumed: Assumptions | None = None,
    billions: float = 1,
) -> RunEstimate:
    spec = SelfRewardRunSpec.model_validate(
        {
            "model": {"uri": "hf://a/b"},
            "workloads": {"training": {"nodeSelector": HERE}, "serving": {"nodeSelector": HERE}},
            **fields,
        }
    )
    hardware = Hardware(GPUS["h200"], 1, keeping)
    return estimate_run(spec, typical(int(billions * 1e9)), hardware, assumed or Assumptions(), fitted())


def keys(found: RunEstimate) -> list[str]:
    return [step.key for step in found.steps]


def test_a_kept_engine_is_started_once() -> None:
    found = estimate(PLAIN)
    assert keys(found) == [
        *("import", "prompts-1", "serving m0", "respond-1", "judge-1", "pairs-1", "dpo-1"),
        *("prompts-2", "serving m2", "respond-2", "judge-2", "pairs-2", "dpo-2"),
    ]
    first, second = (step.seconds.low for step in found.steps if step.key.startswith("serving"))
    assert second < first / 5
    again = estimate(PLAIN, keeping=Keeping.NEVER)
    starts = [step.seconds.low for step in again.steps if step.key.startswith("serving")]
    assert starts[0] == starts[1] == first


def test_a_server_that_is_up_is_used_by_all_that_can_use_it() -> None:
    found = keys(estimate(WHOLE))
    assert found[:6] == ["import", "sft-baseline", "serving sft-baseline", "eft", "evaluate-sft-baseline", "sft"]
    assert [key for key in found if key.startswith("serving")] == ["serving sft-baseline", "serving m1", "serving m2"]


def test_another_judge_takes_turns_with_the_model() -> None:
    found = keys(estimate({**PLAIN, "judge": {"model": "initial"}}))
    rounds = found[found.index("prompts-2") :]
    assert rounds[:5] == ["prompts-2", "serving m2", "respond-2", "serving m0", "judge-2"]


def test_requests_and_tokens_are_those_of_the_steps() -> None:
    fields = {
        **PLAIN,
        "iterations": 1,
        "responses": {"perPrompt": 4, "sampling": {"maxTokens": 500}},
        "judge": {"samples": 3, "sampling": {"maxTokens": 100}},
    }
    found = {step.key: step for step in estimate(fields, assumed=Assumptions(lengths=Range(0.2, 0.6))).steps}
    answers, judged = found["respond-1"], found["judge-1"]
    assert (answers.calls, answers.prompt_tokens) == (Range(1000, 1000), Range(1e5, 1e5))
    assert answers.answer_tokens == Range(4000 * 100, 4000 * 300)
    assert (judged.calls, judged.answer_tokens) == (Range(4000, 4000), Range(12000 * 20, 12000 * 60))
    # All pairs at most, both answers with the prompt.
    assert found["dpo-1"].trained_tokens.high == 1000 * 2 * (100 + 300)


@pytest.mark.parametrize(
    ("fields", "key", "calls"),
    [
        pytest.param({**PLAIN, "judge": {"mode": "logprob"}}, "judge-1", 4000, id="one-token"),
        pytest.param({**PLAIN, "judge": {"mode": "pairwise"}}, "judge-1", 1000 * 4 * 3, id="pairwise"),
        pytest.param({**PLAIN, "judge": {"metaJudge": {}}}, "judge-1", 4000 + 1000 * 3 * 2, id="meta-judge"),
        pytest.param({"prompts": {"count": 800}, "iterations": 1}, "prompts-1", 800, id="written-prompts"),
        pytest.param(WHOLE, "eft", 300 * 3, id="filter"),
        # Four answers' judgements, answers of the test prompts, and their comparisons with the baseline's, both orders.
        pytest.param(WHOLE, "evaluate-m1", 100 * 3 + 100 + 2 * 100, id="evaluation"),
        pytest.param(WHOLE, "evaluate-m2", 100 * 3 + 100 + 2 * 100, id="evaluation-of-the-next"),
        pytest.param(
            {**PLAIN, "training": {"dpo": {"selection": {"checkpoints": 3, "prompts": 50}}}},
            "select-1",
            3 * 50 * 2,
            id="selection",
        ),
    ],
)
def test_how_many_requests(fields: dict[str, Any], key: str, calls: int) -> None:
    assumed = Assumptions(answers_ranked=3, seeds=Seeds(instructions=1000, rankings=400))
    (step,) = [step for step in estimate(fields, assumed=assumed).steps if step.key == key]
    assert step.calls.low == calls


def test_an_outside_judge_costs_tokens_and_no_gpu() -> None:
    judge = {"model": "endpoint", "endpoint": {"url": "https://judge/v1", "model": "j"}}
    (step,) = [step for step in estimate({**PLAIN, "judge": judge}).steps if step.key == "judge-1"]
    assert (step.gpus, step.calls.low) == (0, 4000)
    assert step.answer_tokens.low > 0


def test_every_step_has_its_work() -> None:
    assert set(WORK) == set(StepName)


def test_every_step_of_the_graph_has_a_row() -> None:
    fields = {
        **WHOLE,
        "evaluation": {"judge": {"model": "initial"}, "mtBench": {"uri": "file:///q.jsonl"}},
        "preferences": {"rejected": "anchored"},
        "iterations": 2,
        "training": {"dpo": {"selection": {}}},
    }
    found = estimate(fields)
    assert {"respond-anchor-2", "judge-anchor-2", "select-2", "answer-m2", "evaluate-m2"} <= set(keys(found))
    assert all(step.seconds.high >= step.seconds.low > 0 for step in found.steps)


def test_what_cannot_fit_and_what_may_not() -> None:
    refused = estimate(PLAIN, billions=70)
    assert any(line.startswith("spec.training.dpo: 70.0 billion parameters") for line in refused.refusals)
    (warned,) = estimate({**PLAIN, "training": {"dpo": {"perDeviceBatchSize": 16}}}, billions=3).warnings
    assert warned.startswith("spec.training.dpo: perDeviceBatchSize 16 of the longest examples (2,048 tokens)")
    assert "lower it, or set gradientCheckpointing: true" in warned
    (chosen,) = estimate(PLAIN, billions=6).warnings
    assert chosen.startswith("spec.training.dpo: one alone of the longest examples")
    assert chosen.endswith(": gradientCheckpointing: true")
    assert estimate({**PLAIN, "training": {"dpo": {"gradientCheckpointing": True}}}, billions=3).warnings == ()


@pytest.mark.parametrize("template", ["additive", "additive-prefix", "multiple-choice"])
def test_rubrics_are_as_long_as_their_texts(template: Any) -> None:
    settings = JudgeSettings(template=template)
    text = judge_template(settings).ask("", "")
    assert rubric_tokens(settings) == pytest.approx(len(text) / CHARACTERS_A_TOKEN, rel=0.1)
