"""The exchange at each place where it may fail: nobody is answered from weights of which nothing is known."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from selfreward_steps.contract import EXCHANGE_PATH, MODEL_DIR_VARIABLE, MODEL_NAME_VARIABLE, SERVING_KEY, VERIFIED
from selfreward_steps.engine.exchange import Exchange
from selfreward_steps.engine.likeness import differing_file, file_stamps

KEY = "the run's own key"
LOADED = ["wake weights", "reload_weights m2", "selfreward_compare m2", "wake kv_cache", "reset"]


@dataclass
class ModelPath:
    """vLLM's record of a served model."""

    name: str
    model_path: str


@dataclass
class Models:
    """vLLM's names of what it serves."""

    base_model_paths: list[ModelPath]
    deaf: bool = False

    def is_base_model(self, name: str) -> bool:
        return not self.deaf and any(path.name == name for path in self.base_model_paths)

    def model_name(self) -> str:
        return self.base_model_paths[0].name


@dataclass
class Core:
    """One of vLLM's engines, which does what it is asked or fails at one call."""

    fails_at: str = ""
    resets: bool = True
    calls: list[str] = field(default_factory=list)

    async def call(self, what: str) -> None:
        # Each engine answers from its own process.
        await asyncio.sleep(0)
        self.calls.append(what)
        if what == self.fails_at:
            raise RuntimeError(f"CUDA error at {what}")

    async def reset(self, running: bool) -> bool:
        await self.call("reset")
        if running and not self.resets:
            raise RuntimeError("Failed to reset KV cache")
        return self.resets


@dataclass
class Engine:
    """vLLM's client of its engines: all are asked, an error of any is raised, and the first one's answer is given."""

    cores: list[Core] = field(default_factory=lambda: [Core(), Core()])

    async def _all(self, what: str) -> None:
        await asyncio.gather(*(core.call(what) for core in self.cores))

    async def sleep(self, level: int) -> None:
        await self._all(f"sleep {level}")

    async def wake_up(self, tags: list[str]) -> None:
        await self._all(f"wake {' '.join(tags)}")

    async def collective_rpc(self, method: str, args: tuple[str, ...] = (), kwargs: Any = None) -> list[Any]:
        folder = args[0] if args else kwargs["weights_path"]
        await self._all(f"{method} {Path(folder).name}")
        return [None]

    async def reset_prefix_cache(self, reset_running_requests: bool = False) -> bool:
        return (await asyncio.gather(*(core.reset(reset_running_requests) for core in self.cores)))[0]


@dataclass
class Server:
    """The middleware before a server that answers whoever it knows by name."""

    engine: Engine
    models: Models
    folder: Path
    held: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.held.set()
        self._app = Exchange(self._behind)  # type: ignore[arg-type]

    async def _behind(self, scope: Any, receive: Any, send: Any) -> None:
        await self.held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": self.models.model_name().encode()})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        state = SimpleNamespace(engine_client=self.engine, openai_serving_models=self.models)
        await self._app({**scope, "app": SimpleNamespace(state=state)}, receive, send)

    async def ask(self, path: str = "/v1/chat/completions") -> tuple[int, str]:
        async with self._client() as client:
            answer = await client.get(path)
            return answer.status_code, answer.text

    async def tell(self, key: str | None = KEY, **asked: Any) -> httpx.Response:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with self._client() as client:
            return await client.post(EXCHANGE_PATH, json=asked, headers=headers)

    async def give(self, model: str, **asked: Any) -> httpx.Response:
        return await self.tell(model=model, folder=str(self.folder / model), digest=f"sha256:{model}", **asked)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self), base_url="http://server")  # type: ignore[arg-type]


def write_model(folder: Path, **config: Any) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"hidden_size": 8, "transformers_version": folder.name} | config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(folder.name.encode())
    (folder / VERIFIED).write_text(json.dumps(file_stamps(folder)))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server of m1 that may be given m2."""
    for name in ("m1", "m2"):
        write_model(tmp_path / name)
    for variable, text in ((SERVING_KEY, KEY), (MODEL_NAME_VARIABLE, "m1"), (MODEL_DIR_VARIABLE, str(tmp_path / "m1"))):
        monkeypatch.setenv(variable, text)
    return Server(Engine(), Models([ModelPath("m1", str(tmp_path / "m1"))]), tmp_path)


async def test_it_sleeps_and_wakes_as_another_model(server: Server) -> None:
    assert (await server.tell(model=None)).json()["state"] == "asleep"
    assert (await server.ask())[0] == 503
    assert (await server.ask("/health"))[0] == 200
    told = await server.give("m2")
    assert told.json() == {"state": "serving", "model": "m2", "digest": "sha256:m2", "error": ""}
    assert [core.calls for core in server.engine.cores] == [["sleep 2", *LOADED]] * 2
    assert await server.ask() == (200, "m2")
    assert not server.models.is_base_model("m1")


async def test_an_engine_that_stays_awake_is_not_woken(server: Server) -> None:
    await server.give("m2")
    assert [core.calls for core in server.engine.cores] == [["reload_weights m2", "selfreward_compare m2", "reset"]] * 2


@pytest.mark.parametrize("place", [0, 1], ids=["first-engine", "second-engine"])
@pytest.mark.parametrize("call", ["sleep 2", *LOADED])
async def test_an_exchange_that_fails_half_way_ends_all_answers(server: Server, call: str, place: int) -> None:
    server.engine.cores[place].fails_at = call
    await server.tell(model=None)
    told = await server.give("m2")
    assert (told.status_code, told.json()["state"]) == (500, "broken")
    assert f"RuntimeError: CUDA error at {call}" in told.json()["error"]
    server.engine.cores[place].fails_at = ""
    assert (await server.ask())[0] == 503
    assert (await server.give("m2")).status_code == 500, "what it holds is not known, so it stays as it is"
    assert not server.models.is_base_model("m2")


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        pytest.param({"old_cache": 0}, "Failed to reset", id="a cache of the old model"),
        pytest.param({"old_cache": 1}, "Failed to reset", id="a cache of the old model in the second engine"),
        pytest.param({"deaf": True}, "does not take the name m2", id="name"),
        pytest.param({"rewritten": True}, "changed after they were verified", id="files swapped after verification"),
        pytest.param({"config": {"hidden_size": 9}}, "config.json of m2 differs from that of m1", id="another shape"),
        pytest.param({"template": True}, "chat_template.jinja of m2 differs", id="another chat template"),
    ],
)
async def test_an_exchange_that_did_not_do_what_it_should_is_none(
    server: Server, plant: dict[str, Any], words: str
) -> None:
    if "old_cache" in plant:
        server.engine.cores[plant["old_cache"]].resets = False
    server.models.deaf = "deaf" in plant
    if "config" in plant:
        shutil.rmtree(server.folder / "m2")
        write_model(server.folder / "m2", **plant["config"])
    if "template" in plant:
        (server.folder / "m2" / "chat_template.jinja").write_text("{{ messages }}")
    if "rewritten" in plant:
        (server.folder / "m2" / "model.safetensors").write_bytes(b"m9")
    told = await server.give("m2")
    assert (told.status_code, told.json()["state"]) == (500, "broken")
    assert words in told.json()["error"]
    assert (await server.ask())[0] == 503


async def test_an_exchange_waits_for_answers_that_are_under_way(server: Server) -> None:
    server.held.clear()
    answer = asyncio.create_task(server.ask())
    await asyncio.sleep(0)
    exchange = asyncio.create_task(server.give("m2"))
    await asyncio.sleep(0.1)
    assert [core.calls for core in server.engine.cores] == [[], []]
    assert (await server.ask())[0] == 503, "nobody new is let in"
    server.held.set()
    assert await answer == (200, "m1")
    assert (await exchange).status_code == 200


@pytest.mark.parametrize("key", [None, "", "another", "the run's own key "])
async def test_a_stranger_exchanges_nothing(server: Server, key: str | None) -> None:
    assert (await server.tell(key, model=None)).status_code == 401
    assert ([core.calls for core in server.engine.cores], (await server.ask())[0]) == ([[], []], 200)


async def test_without_a_key_nobody_exchanges_anything(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVING_KEY, "")
    keyless = Server(server.engine, server.models, server.folder)
    assert (await keyless.tell("", model=None)).status_code == 401


async def test_nonsense_is_refused_and_changes_nothing(server: Server) -> None:
    assert (await server.tell(modle="m2")).status_code == 400
    assert await server.ask() == (200, "m1")


def test_where_a_model_came_from_makes_no_difference(tmp_path: Path) -> None:
    write_model(tmp_path / "m1")
    write_model(tmp_path / "m2", _name_or_path="/elsewhere")
    assert differing_file(tmp_path / "m1", tmp_path / "m2") is None
