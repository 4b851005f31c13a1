"""Stores of many runs: whoever's endpoint is dead waits alone."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from selfreward.cluster.stores import PATIENCE, THREADS, Stores
from selfreward_steps.contract import StoreConfig
from selfreward_steps.errors import InfrastructureError, PermanentError
from selfreward_steps.store import StoreReason, open_store

DEAD = 50


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
