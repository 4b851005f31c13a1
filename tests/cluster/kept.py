"""A kept engine under test: it is given models, and each answer is compared with transformers' own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cluster.test_served import seen
from selfreward.api import Keeping, SelfRewardRun
from selfreward.cluster.local.manifests import Place, fetch_of
from selfreward.cluster.local.served import Served
from selfreward.plan import EXCHANGE_FAILED, ChildPhase, CreateServing
from selfreward.render import Images, serving_manifests
from selfreward_steps.contract import EXCHANGE_PATH
from transformers import AutoTokenizer, LlamaForCausalLM

QUESTION = [{"role": "user", "content": "Tell me about the river."}]
TOKENS = 8
UNGUARDED = ("/sleep", "/wake_up", "/collective_rpc", "/reset_prefix_cache", "/pause")
"""Development endpoints of vLLM, which its key would not guard."""


@dataclass
class KeptEngine:
    """A server that may be given the models of a store, with the key that it asks for."""

    server: Served
    run: SelfRewardRun
    place: Place
    digests: dict[str, str]
    folders: dict[str, Path]
    key: str

    async def give(self, model: str, phase: ChildPhase = ChildPhase.READY) -> None:
        """Tell it what to serve, as the local cluster does, and wait until it does or has failed."""
        create = CreateServing("demo-serve-m1-a1", model, 1, self.digests[model], Keeping.AWAKE)
        deployment, _ = serving_manifests(self.run, create, Images())
        self.server.assign(model, fetch_of(model, deployment, self.place), self.digests[model])
        assert self.server.observed().phase is ChildPhase.RUNNING, "it does not answer while its model changes"
        await seen(self.server, lambda child: child.phase is phase, 120)

    async def ask(self, model: str, rank: int | None = None) -> tuple[int, str]:
        """The status and the text of a greedy answer; of the server's engine of this `rank`, where it has several."""
        body = {"model": model, "temperature": 0, "max_tokens": TOKENS, "messages": QUESTION}
        of_engine = {} if rank is None else {"X-data-parallel-rank": str(rank)}
        answer = await self.send("POST", "/v1/chat/completions", body, self.key, of_engine)
        return answer.status_code, answer.json()["choices"][0]["message"]["content"] if answer.is_success else ""

    async def send(
        self, method: str, path: str, body: dict[str, Any], key: str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            url = f"http://127.0.0.1:{self.server.port}{path}"
            headers = {"Authorization": f"Bearer {key}", **(headers or {})}
            return await client.request(method, url, json=body, headers=headers)


async def check_exchanges(engine: KeptEngine) -> None:
    """One engine answers as each of two models does, there and back; strangers cannot reach it; what fails is told."""
    own = {model: await asyncio.to_thread(by_transformers, folder) for model, folder in engine.folders.items()}
    assert own["m1"] != own["m2"]
    assert await engine.ask("m1") == (200, own["m1"])
    for model, other in (("m2", "m1"), ("m1", "m2")):
        await engine.give(model)
        assert await engine.ask(model) == (200, own[model])
        assert (await engine.ask(other))[0] == 404, "only the name of the model that it holds"
        told = await engine.send("GET", EXCHANGE_PATH, {}, engine.key)
        assert (told.json()["model"], told.json()["digest"]) == (model, engine.digests[model])
    for key in ("none", "a stranger's"):
        assert (await engine.send("POST", EXCHANGE_PATH, {"model": None}, key)).status_code == 401
    for path in UNGUARDED:
        assert (await engine.send("POST", path, {}, engine.key)).status_code == 404, path
    assert await engine.ask("m1") == (200, own["m1"])
    await engine.give("broken", ChildPhase.FAILED)
    (failure,) = engine.server.observed().failures
    assert failure.reason == EXCHANGE_FAILED
    assert "config.json of broken differs" in failure.message
    assert {(await engine.ask(model))[0] for model in ("m1", "broken")} == {503}, "nobody knows what it would answer"


def by_transformers(folder: Path) -> str:
    """The same answer from the weights themselves."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), LlamaForCausalLM.from_pretrained(folder)
    asked = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**asked, max_new_tokens=TOKENS, do_sample=False)[0, asked["input_ids"].shape[1] :]
    text: str = tokenizer.decode(answer, skip_special_tokens=True)
    return text
