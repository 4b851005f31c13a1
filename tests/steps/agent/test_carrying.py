"""What an engine's agent does about each assignment, whatever its server says or does not say."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import pytest
from selfreward_steps.agent.carrying import Agent
from selfreward_steps.agent.models import Models
from selfreward_steps.agent.probe import Probe
from selfreward_steps.agent.server import Told, Unsure
from selfreward_steps.contract import Assignment, EngineReport, ModelExchange, StoreConfig
from selfreward_steps.engine.start import CURRENT, LOCK
from selfreward_steps.errors import PermanentError
from selfreward_steps.store import open_store


@dataclass
class Server:
    """A server that says what the test has it say, and does what it is told unless it is broken."""

    told: Told | None = None
    breaks: bool = False
    heard: list[str | None] = field(default_factory=list)

    async def ask(self) -> Told | None:
        return self.told

    async def tell(self, exchange: ModelExchange) -> Told | None:
        self.heard.append(exchange.model)
        if self.breaks:
            self.told = Told("broken", None, None, "CUDA error")
        elif exchange.model is None:
            self.told = Told("asleep", None, None, "")
        else:
            assert exchange.folder is not None
            assert (Path(exchange.folder) / "config.json").exists()
            self.told = Told("serving", exchange.model, exchange.digest, "")
        return self.told


class Pod:
    """One pod's folder, store, server and agent."""

    def __init__(self, folder: Path) -> None:
        self.models, self.file = folder / "models", folder / "assignment"
        self.models.mkdir()
        self.file.write_text("")
        store = open_store((folder / "store").as_uri())
        self.digests = {}
        for name in ("m1", "m2"):
            (folder / name).mkdir()
            (folder / name / "config.json").write_text(json.dumps({"model": name}))
            digest = "sha256:" + "0" * 64
            self.digests[name] = store.commit(name, folder / name, inputs_digest=digest, step="sft").digest
        self.config = StoreConfig(uri=store.uri)
        self.server = Server()
        self.lines: list[str] = []
        self.start()

    def start(self) -> None:
        """A new agent, as after a restart of its container."""
        self.probe = Probe()
        self.agent = Agent(self.file, Models(self.models, self.config), self.server, self.probe, self.lines.append)  # type: ignore[arg-type]

    def assign(self, number: int, model: str | None, digest: str | None = None) -> None:
        digest = digest or (self.digests[model] if model is not None else None)
        self.file.write_text(Assignment(number=number, model=model, digest=digest).model_dump_json())

    def serves(self, model: str) -> None:
        self.server.told = Told("serving", model, self.digests[model], "")

    @contextmanager
    def engine(self) -> Iterator[None]:
        """While a process of an engine lives."""
        lock = os.open(self.models / LOCK, os.O_RDWR | os.O_CREAT)
        flock(lock, LOCK_EX)
        try:
            yield
        finally:
            os.close(lock)

    @property
    def said(self) -> list[tuple[int, str]]:
        return [(report.number, report.state.value) for report in map(EngineReport.model_validate_json, self.lines)]

    @property
    def current(self) -> str | None:
        file = self.models / CURRENT
        return json.loads(file.read_text())["SELFREWARD_MODEL_NAME"] if file.exists() else None


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


async def test_a_pod_to_which_nothing_is_assigned_brings_nothing(pod: Pod) -> None:
    assert await pod.agent.look()
    assert (pod.current, pod.lines, pod.server.heard) == (None, [], [])


async def test_the_first_model_is_brought_for_the_server_to_start_with(pod: Pod) -> None:
    pod.assign(1, "m1")
    assert not await pod.agent.look()
    assert (pod.current, pod.said) == ("m1", [(1, "changing")])
    with pod.engine():
        pod.serves("m1")
        assert await pod.agent.look()
    assert (pod.said[-1], pod.server.heard) == ((1, "serving"), []), "it had it from its start"


async def test_a_running_server_is_told_and_other_models_go_from_the_disk(pod: Pod) -> None:
    with pod.engine():
        pod.assign(1, "m1")
        await pod.agent.look()
        pod.serves("m1")
        await pod.agent.look()
        pod.assign(2, "m2")
        assert await pod.agent.look()
    assert pod.said == [(1, "changing"), (1, "serving"), (2, "changing"), (2, "serving")]
    assert (pod.current, pod.server.heard) == ("m2", ["m2"])
    assert [each.name for each in pod.models.iterdir() if each.is_dir()] == ["m2"]


async def test_it_sleeps_and_wakes_with_another_model(pod: Pod) -> None:
    with pod.engine():
        pod.assign(1, "m1")
        await pod.agent.look()
        pod.serves("m1")
        pod.assign(2, None)
        assert await pod.agent.look()
        assert (pod.said[-1], pod.current) == ((2, "asleep"), None), "a server that starts now waits"
        pod.assign(3, "m2")
        assert await pod.agent.look()
    assert (pod.said[-1], pod.server.heard) == ((3, "serving"), [None, "m2"])


async def test_an_engine_that_does_not_run_sleeps(pod: Pod) -> None:
    pod.assign(1, None)
    assert await pod.agent.look()
    assert pod.said == [(1, "changing"), (1, "asleep")]


async def test_an_engine_that_is_starting_does_not_sleep_yet(pod: Pod) -> None:
    with pod.engine():
        pod.assign(1, None)
        assert not await pod.agent.look()
        assert pod.said == [(1, "changing")]
        pod.serves("m1")
        assert await pod.agent.look()
    assert pod.said[-1] == (1, "asleep")


async def test_an_older_assignment_is_void(pod: Pod) -> None:
    pod.assign(5, None)
    await pod.agent.look()
    pod.assign(4, "m1")
    await pod.agent.look()
    assert (pod.current, pod.said[-1]) == (None, (5, "asleep"))


async def test_what_is_assigned_meanwhile_makes_what_was_done_void(pod: Pod) -> None:
    pod.assign(1, "m1")
    with pod.engine():
        await pod.agent.look()
        pod.serves("m1")
        pod.assign(2, None)
        told = pod.server.ask

        async def ask() -> Told | None:
            pod.assign(3, "m1")
            return await told()

        pod.server.ask = ask  # type: ignore[method-assign]
        assert not await pod.agent.look()
        assert (2, "asleep") not in pod.said
        pod.server.ask = told  # type: ignore[method-assign]
        assert await pod.agent.look()
    assert pod.said[-1] == (3, "serving")


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        pytest.param({"breaks": True}, "CUDA error", id="the exchange"),
        pytest.param({"digest": "sha256:" + "9" * 64}, "InputChanged", id="another model than decided on"),
        pytest.param({"model": "m9"}, "InputMissing", id="no such model"),
    ],
)
async def test_an_exchange_that_fails_is_said(pod: Pod, plant: dict[str, Any], words: str) -> None:
    with pod.engine():
        pod.assign(1, "m1")
        await pod.agent.look()
        pod.serves("m1")
        pod.server.breaks = plant.get("breaks", False)
        pod.assign(2, plant.get("model", "m2"), plant.get("digest", pod.digests["m2"]))
        assert await pod.agent.look()
    report = EngineReport.model_validate_json(pod.lines[-1])
    assert (report.number, report.state) == (2, "failed")
    assert words in report.message
    assert not pod.probe.ready


async def test_without_an_engine_a_model_that_cannot_be_brought_ends_the_agent(pod: Pod) -> None:
    """Its exit code says who must act, as a server's init container says it."""
    pod.assign(1, "m1", "sha256:" + "9" * 64)
    with pytest.raises(PermanentError, match="the run recorded"):
        await pod.agent.look()


async def test_an_agent_that_starts_again_finds_what_is_done(pod: Pod) -> None:
    with pod.engine():
        pod.assign(1, "m1")
        await pod.agent.look()
        pod.serves("m1")
        await pod.agent.look()
        pod.start()
        assert await pod.agent.look()
    assert (pod.said[-1], pod.server.heard) == ((1, "serving"), [])


async def test_a_server_that_is_too_busy_to_answer_is_still_what_it_was(pod: Pod) -> None:
    with pod.engine():
        pod.assign(1, "m1")
        await pod.agent.look()
        pod.serves("m1")
        await pod.agent.look()

        async def ask() -> Told | None:
            raise Unsure

        pod.server.ask = ask  # type: ignore[method-assign]
        await pod.agent.look()
        assert pod.said[-1] == (1, "serving")
        pod.assign(2, "m2")
        await pod.agent.look()
    assert pod.said[-1] == (2, "changing"), "but nothing is believed of what is assigned now"


async def test_a_pod_is_ready_anew_after_each_change() -> None:
    probe = Probe()
    async with await probe.serve(0) as served:
        # Each family has a port of its own where any will do.
        port = next(each.getsockname()[1] for each in served.sockets if each.family == socket.AF_INET)
        assert await _probed(port) == 503
        probe.done()
        assert await _probed(port) == 200
        probe.change()
        probe.done()
        assert [await _probed(port), await _probed(port)] == [503, 200], "however quick the change was"


async def _probed(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /ready HTTP/1.1\r\n\r\n")
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status
