"""Stores of many runs: whoever's endpoint is dead waits alone."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import boto3
import pytest
from selfreward.api import SelfRewardRun
from selfreward.cluster.commits import Commits
from selfreward.cluster.stores import PATIENCE, THREADS, Stores
from selfreward.plan import build_graph
from selfreward_steps.contract import StoreConfig
from selfreward_steps.errors import InfrastructureError, PermanentError
from selfreward_steps.store import Manifest, StoreReason, open_store
from selfreward_steps.store.manifest import FileEntry

DEAD = 50
RUNS = 30
SPEC = {"model": {"uri": "hf://a/b"}, "storage": {"uri": "s3://bucket"}}
MOST_BYTES = 60_000


def place(name: str) -> StoreConfig:
    return StoreConfig(uri=f"s3://bucket/{name}/run", endpoint_url=f"http://{name}:9000")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def unreachable() -> str:
    raise InfrastructureError(StoreReason.UNAVAILABLE, "no route to it")


async def test_fifty_dead_endpoints_delay_no_other(threads: ThreadPoolExecutor) -> None:
    stores, released = Stores(threads), threading.Event()

    def hang() -> str:
        released.wait(30)
        raise InfrastructureError(StoreReason.UNAVAILABLE, "timed out")

    async def fails(number: int) -> float:
        began = time.monotonic()
        with pytest.raises(InfrastructureError, match="has not answered yet"):
            await stores.ask(place(f"dead-{number % DEAD}"), hang)
        return time.monotonic() - began

    try:
        # Each of the dead is asked for by two runs; a thread waits for each.
        waited = [asyncio.create_task(fails(number)) for number in range(2 * DEAD)]
        await asyncio.sleep(0.05)
        began = time.monotonic()
        answers = await asyncio.gather(*(stores.ask(place("alive"), lambda: "here") for _ in range(20)))
        took = time.monotonic() - began
        longest = max(await asyncio.gather(*waited))
    finally:
        released.set()
    assert answers == ["here"] * 20
    assert took < PATIENCE
    assert longest < PATIENCE + 2


async def test_an_endpoint_that_failed_is_left_alone_for_a_while_and_asked_again(threads: ThreadPoolExecutor) -> None:
    now = 0.0
    stores = Stores(threads, clock=lambda: now)
    asked = 0

    def question() -> str:
        nonlocal asked
        asked += 1
        return unreachable() if now < 10 else "here"

    for seconds, tries in ((0.0, 1), (1.9, 1), (2.1, 2), (5.9, 2), (6.2, 3)):
        now = seconds
        with pytest.raises(InfrastructureError, match="no route"):
            await stores.ask(place("a"), question)
        assert asked == tries, seconds
    now = 20.0
    assert await stores.ask(place("a"), question) == "here"
    # It answers, so a failure is asked about again at once, and only then is it left alone.
    assert await stores.ask(place("a"), question) == "here"
    assert asked == 5, "the trial of an endpoint is its caller's own question, asked once"


async def test_a_refusal_is_an_answer(threads: ThreadPoolExecutor) -> None:
    stores = Stores(threads)

    def refused() -> str:
        raise PermanentError(StoreReason.ACCESS_DENIED, "not yours")

    for _ in range(3):
        with pytest.raises(PermanentError, match="not yours"):
            await stores.ask(place("a"), refused)


async def test_what_nobody_expected_is_not_hidden(threads: ThreadPoolExecutor) -> None:
    def broken() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Stores(threads).ask(place("a"), broken)


def test_a_server_that_never_answers_has_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = open_store("s3://bucket/a/b", endpoint_url=endpoint, region="us-east-1", brief=True)
        began = time.monotonic()
        with pytest.raises(InfrastructureError):
            store.read_manifest("m0")
    # Two attempts of 5 s; the steps' own patience is eight of 60 s.
    assert time.monotonic() - began < 15


def test_all_runs_of_an_endpoint_share_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    session = boto3.session.Session

    class Counting(session):  # type: ignore[misc,valid-type]
        def client(self, *arguments: object, **options: object) -> object:
            made.append(options["endpoint_url"])
            return super().client(*arguments, **options)

    monkeypatch.setattr(boto3.session, "Session", Counting)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-this-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    for endpoint in ("http://127.0.0.1:1", "http://127.0.0.1:2"):
        for run in range(100):
            open_store(f"s3://bucket-{run}/a/b", endpoint_url=endpoint, region="us-east-1", brief=True)
    assert made == ["http://127.0.0.1:1", "http://127.0.0.1:2"]


def test_threads_that_ask_at_once_share_the_client_that_is_being_made(
    monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
) -> None:
    """As an operator does that starts before many runs: each of its workers would keep one of its own."""
    made = []
    session = boto3.session.Session

    class Slow(session):  # type: ignore[misc,valid-type]
        def client(self, *arguments: object, **options: object) -> object:
            made.append(options["endpoint_url"])
            time.sleep(0.2)
            return super().client(*arguments, **options)

    monkeypatch.setattr(boto3.session, "Session", Slow)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-another-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    endpoint = "http://127.0.0.1:3"
    asked = [
        threads.submit(open_store, f"s3://bucket/{run}/b", endpoint_url=endpoint, region="us-east-1", brief=True)
        for run in range(8)
    ]
    assert len([each.result() for each in asked]) == 8
    assert made == [endpoint]


async def test_an_unfinished_run_in_a_bucket_keeps_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand of them once were a thousand clients; what was read of their manifests would be as much again."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-this-test")
    run = SelfRewardRun.model_validate({"metadata": {"name": "demo"}, "spec": SPEC})
    graph = build_graph(run.spec)
    asked = {name: None for node in graph.nodes for name in node.outputs if node.shards is None}

    async def answer(question: partial[dict[str, Manifest | None]]) -> dict[str, Manifest | None]:
        return {name: _manifest(name) for name in question.args[0]}

    async def opened(number: int) -> Commits:
        uri = f"s3://bucket/{number}/run"
        store = open_store(uri, endpoint_url="http://127.0.0.1:1", region="us-east-1", brief=True)
        commits = Commits(store, ask=answer)
        await commits.observe(run, graph, asked)
        return commits

    kept = [await opened(0)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept += [await opened(number) for number in range(1, 1 + RUNS)]
        gc.collect()
        grown = (tracemalloc.get_traced_memory()[0] - before) / RUNS
    finally:
        tracemalloc.stop()
    assert len(kept) == 1 + RUNS
    assert grown < MOST_BYTES, f"{grown:.0f} bytes a run of {len(asked)} artifacts"


def _manifest(name: str) -> Manifest:
    """A committed artifact of 200 files, as a sharded model has."""
    files = [FileEntry(name=f"part-{number}", size=1, sha256="0" * 64) for number in range(200)]
    digest = f"sha256:{'0' * 64}"
    return Manifest.of(name, files, inputs_digest=digest, step="import", metadata={"metrics": {"rows": 1.0}})
