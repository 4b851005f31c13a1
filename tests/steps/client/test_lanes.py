"""Lanes: as many as the engine has room for, and no more; as many as the user says, where the user says it."""

from __future__ import annotations

import asyncio

import pytest
from openai_server import OpenAIServer, running
from selfreward_steps.client import lanes
from selfreward_steps.client.lanes import Lanes
from selfreward_steps.client.traffic import Traffic
from steps.client.sending import requests, send


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LOOK_SECONDS", 0.01)


async def widened(room: float | None, first: int = 8, ends: int | None = None, reads: int = 0) -> int:
    """Lanes in the end before an engine that runs `room` requests; lane number `ends` finds nothing left to send. All
    wait at the first `reads` looks, since their prompts are being read."""
    traffic, done, opened, looks = Traffic(first), asyncio.Event(), 0, 0

    async def lane(number: int) -> None:
        traffic.meter.sent()
        if number != ends:
            await done.wait()

    def open_lane() -> asyncio.Task[None]:
        nonlocal opened
        opened += 1
        return asyncio.create_task(lane(opened))

    async def queued() -> float | None:
        nonlocal looks
        looks += 1
        if looks <= reads:
            return traffic.meter.in_flight
        return None if room is None else max(0.0, traffic.meter.in_flight - room)

    made = Lanes(open_lane, traffic)
    await asyncio.wait_for(made.widen(queued), 10)
    done.set()
    await made.ended()
    assert traffic.configured == opened
    return opened


@pytest.mark.parametrize(
    ("room", "ends", "count"),
    [
        pytest.param(40, None, 64, id="doubled until many wait"),
        pytest.param(60, None, 128, id="few that wait are no queue"),
        pytest.param(4, None, 8, id="never fewer than at first"),
        pytest.param(None, None, 8, id="an engine that does not say"),
        pytest.param(1e9, None, 1024, id="not without end"),
        pytest.param(1e9, 20, 32, id="nothing left to send"),
    ],
)
async def test_lanes_are_opened_until_the_engine_queues(room: float | None, ends: int | None, count: int) -> None:
    assert await widened(room, ends=ends) == count


@pytest.mark.parametrize(("reads", "count"), [(3, 64), (4, 8)])
async def test_prompts_that_are_being_read_are_no_queue(reads: int, count: int) -> None:
    assert await widened(40, reads=reads) == count


@pytest.mark.parametrize(("room", "concurrency", "peak"), [(0, None, 8), (None, None, 8), (1000, 16, 16)])
def test_a_client_asks_its_server(
    room: int | None, concurrency: int | None, peak: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "FIRST_LANES", 8)
    with running(OpenAIServer(room=room, delay=0.05)) as server:
        _, traffic = send(server.url, requests(100), concurrency=concurrency)
    assert (server.peak, traffic.metrics()["concurrency_configured"]) == (peak, peak)


def test_a_server_with_room_gets_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "FIRST_LANES", 8)
    monkeypatch.setattr(lanes, "MOST_LANES", 24)
    with running(OpenAIServer(room=1000, delay=0.05)) as server:
        send(server.url, requests(2000), concurrency=None)
    assert server.peak == 24


def test_an_outside_server_gets_no_more_whatever_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "FIRST_LANES", 8)
    with running(OpenAIServer(room=1000, delay=0.05)) as server:
        send(server.url, requests(100), concurrency=None, field="judge.endpoint")
    assert server.peak == 8
