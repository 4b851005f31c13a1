"""Step respond on a server: counts, order, shards, seeds."""

import random
from pathlib import Path

import pytest
from bench import Bench, endpoint
from generation import RESPONSES, put_prompts, respond
from openai_server import OpenAIServer, running
from selfreward_steps.contract import ResponseSettings
from selfreward_steps.contract.evaluation import AnswerSampling
from server_faults import Samples


def test_candidates_of_every_prompt_in_order(bench: Bench) -> None:
    jitter = random.Random(1)
    with running(OpenAIServer(delay=lambda body: jitter.random() * 0.05)) as server:
        result = bench.run(respond(bench, server, put_prompts(bench)))
    rows = bench.rows(RESPONSES, "responses")
    assert [row["prompt"] for row in rows] == [f"What is {n}?" for n in range(10)]
    assert all(len(row["candidates"]) == 4 for row in rows)
    assert all(len({candidate["text"] for candidate in row["candidates"]}) > 1 for row in rows)
    assert all(row["tokens"] == sum(len(each["text"].split()) for each in row["candidates"]) for row in rows)
    assert len(server.requests) == 10
    assert {seen.body["n"] for seen in server.requests} == {4}
    assert len({seen.body["seed"] for seen in server.requests}) == 10
    assert result.metrics["requests"] == result.metrics["prompts"] == 10
    assert result.metrics["completion_tokens"] == sum(row["tokens"] for row in rows)


def test_for_the_choice_of_a_checkpoint_there_is_one_answer(bench: Bench) -> None:
    config = respond(bench, OpenAIServer(), put_prompts(bench, 2))
    with running(OpenAIServer()) as server:
        single = AnswerSampling(max_tokens=3)
        bench.run(config.model_copy(update={"serving": endpoint(server), "single": single}))
    assert [len(row["candidates"]) for row in bench.rows(RESPONSES, "responses")] == [1, 1]
    assert {(seen.body["temperature"], seen.body["max_tokens"]) for seen in server.requests} == {(0.0, 3)}


def test_an_answer_that_was_cut_off_says_so(bench: Bench) -> None:
    settings = ResponseSettings(sampling={"max_tokens": 2})
    with running(OpenAIServer()) as server:
        bench.run(respond(bench, server, put_prompts(bench, 1), settings=settings))
    (row,) = bench.rows(RESPONSES, "responses")
    assert {candidate["finish_reason"] for candidate in row["candidates"]} == {"length"}


@pytest.mark.parametrize(("count", "shards"), [(10, 3), (2, 3), (9, 3), (5, 1)])
def test_shards_drop_nothing_and_differ_by_one_at_most(bench: Bench, count: int, shards: int) -> None:
    prompts = put_prompts(bench, count)
    with running(OpenAIServer()) as server:
        for shard in range(shards):
            bench.run(respond(bench, server, prompts, shards=shards), shard)
    rows = [bench.rows(f"{RESPONSES}/shard-{shard:05d}", "responses") for shard in range(shards)]
    for shard, part in enumerate(rows):
        assert [row["prompt"] for row in part] == [f"What is {n}?" for n in range(shard, count, shards)]
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


def test_a_seed_belongs_to_the_run_and_the_prompt_alone(bench: Bench) -> None:
    prompts = put_prompts(bench)
    bodies = []
    for concurrency, seed in [(1, 0), (7, 0), (7, 1)]:
        with running(OpenAIServer()) as server:
            bench.run(respond(bench, server, prompts, concurrency=concurrency, random_seed=seed))
        bench.store.delete("iteration-1")
        bodies.append({seen.prompt: seen.body["seed"] for seen in server.requests})
    assert bodies[0] == bodies[1]
    assert not set(bodies[0].values()) & set(bodies[2].values())


def test_a_server_without_n_gives_the_same_artifacts(bench: Bench) -> None:
    prompts, results = put_prompts(bench), []
    for samples in (Samples.MANY, Samples.ONE):
        with running(OpenAIServer(samples=samples)) as server:
            results.append(bench.run(respond(bench, server, prompts)).outputs)
        bench.store.delete("iteration-1")
    assert results[0] == results[1]


def test_the_journal_is_gone_after_the_commit(bench: Bench) -> None:
    with running(OpenAIServer()) as server:
        config = respond(bench, server, put_prompts(bench))
        bench.run(config)
        bench.store.delete("iteration-1/responses")
        result = bench.run(config)
    assert result.metrics["recovered"] == 0
    assert not [path for path in Path(bench.folder / "store").rglob("*") if "journal" in path.name and path.is_file()]
