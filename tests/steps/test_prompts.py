"""Step prompts against a server that writes prompts: counts, filters, determinism, resumption, files."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from bench import Bench, endpoint
from openai_server import OpenAIServer, running
from plausible_model import Body, Reply, last_message, plausible
from selfreward_steps.contract import InputRef, PromptGenerator, PromptsConfig, PromptSettings
from selfreward_steps.errors import InfrastructureError, PermanentError
from selfreward_steps.prompting.rouge import rouge_l, words_of
from selfreward_steps.prompting.writing import few_shot, window_of
from server_faults import Fault, FaultKind

SEEDS = [
    "Explain why the sky is blue to a child.",
    "Write a polite letter that declines an invitation.",
    "Give five names for a bakery by the harbour.",
    "Compare trains with planes for short journeys.",
    "Summarise the rules of chess in ten lines.",
    "Translate 'good morning' into three languages.",
    "How do I keep basil alive in winter?",
    "Plan a weekend in Lisbon on a small budget.",
]


def seed_data(bench: Bench) -> InputRef:
    def instruction(number: int, text: str) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}]
        return {"id": str(number), "messages": messages}

    return bench.put("seed", instructions=[instruction(*pair) for pair in enumerate(SEEDS)])


def config(bench: Bench, server: OpenAIServer | None, seed: InputRef, **options: Any) -> PromptsConfig:
    settings = PromptSettings(**{"count": 60, **options.pop("settings", {})})
    concurrency, inputs = options.pop("concurrency", 8), options.pop("inputs", {})
    frame = bench.frame("iteration-1/prompts", seed=seed, **inputs)
    serving = None if server is None else endpoint(server, concurrency)
    return PromptsConfig(**{**frame, "iteration": 1, "settings": settings, "serving": serving, **options})


def prompts(bench: Bench) -> list[str]:
    return [row["prompt"] for row in bench.rows("iteration-1/prompts", "prompts")]


def test_as_many_new_prompts_as_asked_for(bench: Bench) -> None:
    with running(OpenAIServer()) as server:
        result = bench.run(config(bench, server, seed_data(bench)))
    rows = bench.rows("iteration-1/prompts", "prompts")
    assert [row["id"] for row in rows] == [f"1-{number:06d}" for number in range(60)]
    texts = [row["prompt"] for row in rows]
    assert not any(text.startswith("Task") for text in texts)
    for index, text in enumerate(texts):
        earlier = [*SEEDS, *texts[:index]]
        assert max(rouge_l(words_of(each), words_of(text)) for each in earlier) <= 0.7
    statistics = bench.document("iteration-1/prompts", "statistics")
    dropped = sum(value for name, value in statistics.items() if name.startswith("dropped_"))
    assert statistics["attempts"] == 60 + dropped
    assert statistics["acceptance_rate"] == pytest.approx(60 / statistics["attempts"])
    assert result.metrics["requests"] >= statistics["attempts"]


def test_the_request_shows_six_seed_and_two_generated_tasks(bench: Bench) -> None:
    with running(OpenAIServer()) as server:
        bench.run(config(bench, server, seed_data(bench), concurrency=1))
    made = prompts(bench)
    assert window_of(60) == 32
    first, late = server.requests[0], server.requests[55]
    assert first.body["temperature"] == 0.6
    assert first.body["top_p"] == 0.9
    assert first.body["stop"] == ["\nTask "]
    assert "n" not in first.body
    # Nothing is generated yet: seeds take the places.
    assert sum(seed in first.prompt for seed in SEEDS) == 8
    assert sum(seed in late.prompt for seed in SEEDS) == 6
    shown = [text for text in made if text in late.prompt]
    assert len(shown) == 2
    # Only what was accepted a window earlier may be shown, whatever has come in by now.
    assert all(made.index(text) <= 55 - 32 for text in shown)


@pytest.mark.parametrize("concurrency", [1, 5, 64])
def test_concurrency_and_arrival_change_nothing(bench: Bench, concurrency: int) -> None:
    seed = seed_data(bench)
    with running(OpenAIServer()) as server:
        expected = bench.run(config(bench, server, seed, concurrency=3))
    bench.store.delete("iteration-1")
    jitter = random.Random(concurrency)
    with running(OpenAIServer(delay=lambda body: jitter.random() * 0.05)) as server:
        result = bench.run(config(bench, server, seed, concurrency=concurrency))
    assert result.reason == "Committed"
    assert result.outputs == expected.outputs


def test_a_restart_repeats_only_what_was_in_flight(bench: Bench) -> None:
    seed = seed_data(bench)
    with running(OpenAIServer()) as server:
        expected = bench.run(config(bench, server, seed))
        whole = len(server.requests)
    bench.store.delete("iteration-1")
    # 401 ends the step at once, with other requests under way.
    faults = [Fault(FaultKind.STATUS, status=401, skip=30)]
    with running(OpenAIServer(faults=faults)) as first, pytest.raises(PermanentError):
        bench.run(config(bench, first, seed))
    with running(OpenAIServer()) as second:
        result = bench.run(config(bench, second, seed))
    answered = sum(seen.status == 200 for seen in first.requests)
    assert answered - 8 <= result.metrics["recovered"] <= answered
    assert len(second.requests) == whole - result.metrics["recovered"]
    assert result.outputs == expected.outputs


def test_not_much_more_is_asked_for_than_is_needed(bench: Bench) -> None:
    with running(OpenAIServer(delay=0.05)) as server:
        bench.run(config(bench, server, seed_data(bench), settings={"count": 40}, concurrency=16))
    attempts = bench.document("iteration-1/prompts", "statistics")["attempts"]
    # When half a dozen are missing, no more than a dozen are under way.
    assert attempts <= len(server.requests) <= attempts + 12


def test_earlier_iterations_and_ranked_prompts_are_not_repeated(bench: Bench) -> None:
    taken = ["Describe how rivers shape their valleys.", "Invent a festival for autumn leaves."]
    ranked = "Recommend three novels about the sea."
    seed = bench.put(
        "seed",
        instructions=[{"id": "0", "messages": [{"role": "user", "content": text}]} for text in SEEDS],
        rankings=[{"id": "r", "prompt": ranked, "answers": [{"content": "a", "rank": 0}, {"content": "b", "rank": 1}]}],
    )
    earlier = bench.put("iteration-0/prompts", prompts=[{"id": "0-0", "prompt": text} for text in taken])

    def brain(body: Body, draw: random.Random) -> Reply:
        return Reply(draw.choice([*taken, ranked])) if draw.random() < 0.5 else plausible(body, draw)

    with running(OpenAIServer(brain=brain)) as server:
        bench.run(config(bench, server, seed, inputs={"prompts-1": earlier}))
    assert not {*taken, ranked} & set(prompts(bench))
    statistics = bench.document("iteration-1/prompts", "statistics")
    assert statistics["dropped_duplicate"] > 10
    assert statistics["pool"] == len(SEEDS) + 3


def says(text: str) -> Callable[[Body, random.Random], Reply]:
    return lambda body, draw: Reply(text)


def test_a_model_that_repeats_itself_ends_with_the_numbers(bench: Bench) -> None:
    repeats, settings = says("Explain how bread is made at home."), {"count": 10, "max_attempts_per_prompt": 3}
    with running(OpenAIServer(brain=repeats)) as server, pytest.raises(PermanentError) as caught:
        bench.run(config(bench, server, seed_data(bench), settings=settings))
    assert len(server.requests) == 30
    assert caught.value.reason == "TooFewPrompts"
    assert "30 completions gave 1 of 10 new prompts (dropped: 29 duplicate)" in str(caught.value)


def test_a_completion_that_was_cut_off_is_no_prompt(bench: Bench) -> None:
    settings = {"count": 10, "max_attempts_per_prompt": 2, "sampling": {"max_tokens": 3}}
    with running(OpenAIServer()) as server, pytest.raises(PermanentError, match="20 cutOff"):
        bench.run(config(bench, server, seed_data(bench), settings=settings))


def test_without_seed_prompts_the_missing_fields_are_named(bench: Bench) -> None:
    seed = bench.put("seed", eft=[])
    with running(OpenAIServer()) as server, pytest.raises(PermanentError) as caught:
        bench.run(config(bench, server, seed))
    assert caught.value.reason == "NoDemonstrations"
    assert "seedData.instructions or prompts.source" in str(caught.value)


def test_demonstrations_may_come_from_the_users_prompts(bench: Bench) -> None:
    seed = bench.put("seed", prompts=[{"id": str(n), "prompt": text} for n, text in enumerate(SEEDS)])
    with running(OpenAIServer()) as server:
        bench.run(config(bench, server, seed, settings={"count": 5}))
    assert sum(text in server.requests[0].prompt for text in SEEDS) == 8


@pytest.mark.parametrize(("iteration", "rows"), [(1, range(0, 4)), (2, range(4, 8))])
def test_a_file_gives_each_iteration_its_own_part(bench: Bench, iteration: int, rows: range) -> None:
    seed = bench.put("seed", prompts=[{"id": str(n), "prompt": f"prompt {n}"} for n in range(10)])
    settings = {"count": 4, "generator": PromptGenerator.FILE}
    bench.run(config(bench, None, seed, settings=settings, iteration=iteration))
    assert prompts(bench) == [f"prompt {n}" for n in rows]


def test_a_file_that_is_too_short_for_the_iteration(bench: Bench) -> None:
    seed = bench.put("seed", prompts=[{"id": str(n), "prompt": f"prompt {n}"} for n in range(10)])
    settings = {"count": 4, "generator": PromptGenerator.FILE}
    with pytest.raises(PermanentError) as caught:
        bench.run(config(bench, None, seed, settings=settings, iteration=3))
    assert caught.value.reason == "TooFewPrompts"
    assert "prompts.source: has 10 prompts, but iteration 3 takes 9 to 12" in str(caught.value)


def test_a_server_that_is_down_is_infrastructure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from selfreward_steps.client.retrying import RetryPolicy

    quick = RetryPolicy(outage_seconds=0.2, first_pause=0.01)
    monkeypatch.setattr("selfreward_steps.client.client.RetryPolicy", lambda: quick)
    with running(OpenAIServer()) as server:
        pass
    with pytest.raises(InfrastructureError, match="does not answer"):
        bench.run(config(bench, server, seed_data(bench)))


def test_few_shot_numbers_its_tasks() -> None:
    assert "Task 1: One.\n\nTask 2: Two.\n\nWrite one new task, Task 3, and" in few_shot(["One.", "Two."])


def test_the_server_is_kept_busy(bench: Bench) -> None:
    with running(OpenAIServer(delay=lambda body: 0.5 + len(last_message(body)) % 7 * 0.1)) as server:
        result = bench.run(config(bench, server, seed_data(bench), settings={"count": 160}, concurrency=16))
    assert server.peak == 16
    assert result.metrics["concurrency_measured"] > 15


@pytest.mark.parametrize("source", [PromptGenerator.SELF, PromptGenerator.FILE])
def test_prompts_for_validation_are_others(bench: Bench, source: PromptGenerator) -> None:
    aside = {"output": "iteration-2/validation", "count": 3}
    rows = [{"id": f"{number}", "prompt": f"Prompt {number} of the file"} for number in range(14)]
    seed = bench.put("seed", prompts=rows)
    with running(OpenAIServer()) as server:
        settings = {"count": 4, "generator": source}
        result = bench.run(
            config(bench, server, seed, settings=settings, iteration=2, validation=aside, output="iteration-2/prompts")
        )
    kept, held = bench.rows("iteration-2/prompts", "prompts"), bench.rows("iteration-2/validation", "prompts")
    assert (len(kept), len(held), result.metrics["prompts"]) == (4, 3, 4)
    assert len({row["id"] for row in kept + held} | {row["prompt"] for row in kept + held}) == 14
    if source is PromptGenerator.FILE:
        assert [row["prompt"] for row in kept + held] == [row["prompt"] for row in rows[7:]]
    assert result.outputs.keys() == {"iteration-2/prompts", "iteration-2/validation"}


def test_a_file_must_hold_those_for_validation_too(bench: Bench) -> None:
    seed = bench.put("seed", prompts=[{"id": f"{number}", "prompt": f"Prompt {number}"} for number in range(6)])
    settings = {"count": 4, "generator": PromptGenerator.FILE}
    with pytest.raises(PermanentError, match=r"\(prompts.count: 4, training.dpo.selection.prompts: 3\)"):
        bench.run(config(bench, None, seed, settings=settings, validation={"output": "v", "count": 3}))
