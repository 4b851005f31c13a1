"""A server of two engines, on a real vLLM: both hold the model that is named, or nobody is answered.

Part of `make nightly`: a start of two engines takes longer than CI has left (77 s for all of it on two idle cores).
tests/steps/engine plants the same failures in a stand-in.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
import selfreward_steps
from cluster.conftest import identity
from cluster.kept import KeptEngine, by_transformers
from cluster.test_engines import START_SECONDS, commit_model
from cluster.test_served import seen
from selfreward.api import Keeping, SelfRewardRun
from selfreward.cli.machine.preparing import prepared
from selfreward.cluster.local.manifests import Place, served_of
from selfreward.cluster.local.ports import free_port
from selfreward.plan import ChildKind, ChildPhase, CreateServing
from selfreward.render import Images, serving_key, serving_manifests
from selfreward_steps.contract import SERVING_KEY

pytestmark = pytest.mark.timeout(600)


SPOILT = """
from pathlib import Path
import torch
from selfreward_steps.engine.weights import Weights

class Spoilt(Weights):
    def selfreward_compare(self, folder):
        if Path({spoils!r}).exists() and self.vllm_config.parallel_config.data_parallel_index == 1:
            with torch.no_grad():
                self.model_runner.get_model().model.norm.weight[0] += 1
        Weights.selfreward_compare(self, folder)
"""


async def test_no_engine_of_a_server_of_two_may_hold_other_weights(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both of vLLM's engines take the next model; where only the second of them does not, nobody is answered."""
    monkeypatch.setenv(SERVING_KEY, "the run's own key")
    spoils = tmp_path / "spoils"
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "spoilt.py").write_text(SPOILT.format(spoils=str(spoils)))
    # This machine's cores, named, are those of one engine.
    ours = os.pathsep.join([str(tmp_path / "planted"), str(Path(selfreward_steps.__file__).parents[1])])
    environment = {"PYTHONPATH": ours, "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    engines = ["--data-parallel-size=2", f"--kv-cache-memory-bytes={256 << 20}"]
    spec = {
        "model": {"uri": "hf://a/b"},
        "serving": {
            "engine": "vllm",
            "maxModelLength": 512,
            "args": [*engines, "--worker-extension-cls=spoilt.Spoilt"],
        },
        "storage": {"uri": (tmp_path / "store").as_uri()},
        "workloads": {"serving": {"env": [{"name": name, "value": value} for name, value in environment.items()]}},
    }
    run = prepared(
        SelfRewardRun.model_validate({"metadata": {"name": "demo", "uid": "0b5f8a52"}, "spec": spec}), tmp_path
    )
    store = tmp_path / "store" / "namespace=default" / "demo"
    folders = {name: tmp_path / name for name in ("m1", "m2")}
    digests = {
        name: commit_model(store, folder, name, seed=seed) for seed, (name, folder) in enumerate(folders.items())
    }
    create = CreateServing("demo-serve-m1-a1", "m1", 1, digests["m1"], Keeping.AWAKE)
    deployment, _ = serving_manifests(run, create, Images())
    own = serving_key(run)
    assert own is not None
    place = replace(place, secrets={(own.name, own.key): "the run's own key"})
    server = served_of(replace(identity(ChildKind.SERVING), key="", model="m1"), deployment, place, free_port())
    engine = KeptEngine(server, run, place, digests, folders, "the run's own key")
    try:
        await seen(server, lambda child: child.phase is ChildPhase.READY, START_SECONDS)
        first = await asyncio.to_thread(by_transformers, folders["m1"])
        second = await asyncio.to_thread(by_transformers, folders["m2"])
        for rank in (0, 1):
            assert await engine.ask("m1", rank) == (200, first)
        await engine.give("m2")
        for rank in (0, 1):
            assert await engine.ask("m2", rank) == (200, second)
        spoils.touch()
        await engine.give("m1", ChildPhase.FAILED)
        (failure,) = server.observed().failures
        assert "does not hold the weights" in failure.message
        assert "model.norm.weight" in failure.message
        assert (await engine.ask("m1"))[0] == 503
    finally:
        server.stop(5)
        await seen(server, lambda _: server.is_gone, 60)
