"""Servers: their keys, formats, addresses, what they get without a GPU, and who may reach them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from render.cases import NO_GPU, create_serving, create_step, run_of, workload
from render.test_steps import containers
from selfreward.api import SelfRewardRun
from selfreward.cluster.local.ports import free_port
from selfreward.plan import ModelSize
from selfreward.render import Images, key_secret, network_policy, serving_key, serving_manifests
from selfreward.render.memory import GPU_MEMORY_LABEL
from selfreward.render.revision import serving_revision
from selfreward_steps.contract import FETCH_VARIABLE, MODEL_DIR_VARIABLE, FetchConfig, StoreConfig
from selfreward_steps.fetch import main as fetch
from selfreward_steps.store import open_store


def server_of(run: SelfRewardRun) -> dict[str, Any]:
    deployment, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = server
    return found


def test_the_servers_and_the_steps_that_ask_them_share_a_key_of_the_runs_own() -> None:
    run = run_of()
    ref = serving_key(run)
    assert ref is not None
    assert run.metadata.uid[:8] in ref.name, "a run of the same name that is still going must not lend its key"
    secret = key_secret(run, "drawn")
    assert (secret["metadata"]["name"], secret["stringData"]) == (ref.name, {ref.key: "drawn"})
    assert secret["metadata"]["ownerReferences"][0]["uid"] == run.metadata.uid
    deployment, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    asked = [
        deployment,
        *(workload(run, *create_step(run, key)) for key in ("respond-1", "evaluate-m1")),
    ]
    for document in asked:
        env = next(each for each in containers(document) if each["name"] in ("server", "step"))["env"]
        assert {"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": ref.name, "key": ref.key}}} in env


@pytest.mark.parametrize(
    "serving", [{"command": ["my-server"]}, {"engine": "transformers"}], ids=["any command", "transformers"]
)
def test_a_server_that_would_not_read_a_key_gets_none(serving: dict[str, Any]) -> None:
    run = run_of(serving=serving)
    assert serving_key(run) is None
    assert "VLLM_API_KEY" not in str(workload(run, *create_step(run, "respond-1")))


@pytest.mark.parametrize(
    ("training", "serving", "dtype"),
    [
        pytest.param({}, {}, "auto", id="bfloat16 weights"),
        pytest.param({"dpo": {"precision": "fp32"}}, {}, "float32", id="float32 weights"),
        pytest.param({"sft": {"precision": "fp32"}}, {"engine": "transformers"}, "float32", id="another engine"),
        pytest.param({"dpo": {"precision": "fp32"}}, {"dtype": "bfloat16"}, "bfloat16", id="as the user says"),
    ],
)
def test_weights_are_served_in_the_format_they_were_written_in(
    training: dict[str, Any], serving: dict[str, Any], dtype: str
) -> None:
    run = run_of(training=training, serving=serving)
    server = server_of(run)
    assert f"--dtype={dtype}" in server["command"]


@pytest.mark.parametrize(
    ("resources", "serving", "cache", "threads"),
    [
        pytest.param(NO_GPU, {}, 2 << 30, None, id="a quarter of the memory"),
        pytest.param(NO_GPU | {"requests": {}, "limits": {"nvidia.com/gpu": 0}}, {}, 1 << 30, None, id="none named"),
        pytest.param(
            {"limits": {"memory": "1Gi", "cpu": "7500m", "nvidia.com/gpu": 0}},
            {"tensorParallel": 2},
            512 << 20,
            "3",
            id="little memory, few cores",
        ),
    ],
)
def test_a_server_without_a_gpu_is_told_what_it_may_use(
    resources: dict[str, Any], serving: dict[str, Any], cache: int, threads: str | None
) -> None:
    run = run_of(serving=serving, workloads={"serving": {"resources": resources}})
    server = server_of(run)
    assert f"--kv-cache-memory-bytes={cache}" in server["command"]
    assert "--dtype=float32" in server["command"]
    assert {entry["name"]: entry.get("value") for entry in server["env"]}.get("OMP_NUM_THREADS") == threads


def test_a_server_without_a_gpu_is_as_the_user_says() -> None:
    own = [{"name": "OMP_WAIT_POLICY", "value": "active"}]
    serving = {"dtype": "bfloat16", "args": ["--max-num-seqs=8"]}
    run = run_of(serving=serving, workloads={"serving": {"resources": NO_GPU, "env": own}})
    server = server_of(run)
    assert "--dtype=bfloat16" in server["command"]
    assert server["command"][-1] == "--max-num-seqs=8"
    # Two entries of one name are no list that the API server merges.
    assert [entry for entry in server["env"] if entry["name"] == "OMP_WAIT_POLICY"] == own


def test_a_command_of_ones_own_gets_nothing_for_processors() -> None:
    run = run_of(serving={"command": ["my-server"]}, workloads={"serving": {"resources": NO_GPU}})
    server = server_of(run)
    assert server["command"] == ["my-server"]
    assert "VLLM_CPU_OMP_THREADS_BIND" not in str(server["env"])


@pytest.mark.parametrize(
    ("spec", "compiles"),
    [
        pytest.param({"prompts": {"count": 1000}, "iterations": 2}, False, id="a small run"),
        pytest.param({"prompts": {"count": 5000}, "iterations": 3}, True, id="many answers"),
    ],
)
def test_a_server_with_a_gpu_compiles_its_model_where_the_run_is_long(spec: dict[str, Any], compiles: bool) -> None:
    server = server_of(run_of(**spec))
    own = [word for word in server["command"] if word.startswith("--compilation-config=")]
    assert (own == []) is compiles
    for word in own:
        assert json.loads(word.partition("=")[2])["cudagraph_mode"] == "FULL_DECODE_ONLY"
    assert {"name": "VLLM_WORKER_MULTIPROC_METHOD", "value": "fork"} in server["env"]


@pytest.mark.parametrize("word", ["--enforce-eager", "-O1", "--compilation-config={}", "-cc.mode=3"])
def test_a_server_with_a_gpu_is_compiled_as_the_user_says(word: str) -> None:
    own = {"name": "VLLM_WORKER_MULTIPROC_METHOD", "value": "spawn"}
    run = run_of(prompts={"count": 10}, serving={"args": [word]}, workloads={"serving": {"env": [own]}})
    server = server_of(run)
    assert [each for each in server["command"] if each.startswith(("--compilation", "-O", "-cc", "--enf"))] == [word]
    assert [entry for entry in server["env"] if entry["name"] == own["name"]] == [own]


SMALL = ModelSize(134_515_008, 23_040)
EIGHT = ModelSize(8_030_261_248, 131_072)


@pytest.mark.parametrize(
    ("mib", "size", "serving", "expected"),
    [
        pytest.param("143771", SMALL, {}, ["0.97", "1024", "8192"], id="h200-135m"),
        pytest.param("143771", EIGHT, {}, ["0.97", "1024", "8192"], id="h200-8b"),
        # 0.92 x 24 GiB leave 6.6 GB beside the weights and the engine: 50,100 tokens, 61 requests of 817.
        pytest.param("24576", EIGHT, {}, ["0.92", "61", "2048"], id="24-gib-8b"),
        pytest.param("24576", EIGHT, {"tensorParallel": 2}, ["0.92", "256", "2048"], id="two-of-24-gib-8b"),
        pytest.param("24576", SMALL, {}, ["0.92", "1024", "8192"], id="24-gib-135m"),
        pytest.param("143771", None, {}, ["0.97"], id="size-unknown"),
        pytest.param(None, EIGHT, {}, [], id="gpu-unknown"),
        # 4 GiB beside each of two engines: 1 - 8 / 140.4, and half of it each.
        pytest.param("143771", SMALL, {"enginesPerServer": 2}, ["0.47", "1024", "8192"], id="two-engines"),
        pytest.param("81559", EIGHT, {"enginesPerServer": 2}, ["0.46", "192", "2048"], id="two-engines-8b"),
        pytest.param(None, EIGHT, {"enginesPerServer": 3}, ["0.3"], id="three-engines-gpu-unknown"),
        pytest.param("143771", EIGHT, {"args": ["--max-num-seqs=8"]}, ["8"], id="own"),
        pytest.param("143771", EIGHT, {"args": ["--no_enable_chunked_prefill"]}, [], id="own-underscores"),
        pytest.param("143771", EIGHT, {"args": ["--config", "/etc/vllm.yaml"]}, [], id="own-file"),
        pytest.param("143771", EIGHT, {"args": ["--performance-mode=throughput"]}, [], id="own-mode"),
    ],
)
def test_a_server_runs_as_many_requests_as_its_cache_holds(
    mib: str | None, size: ModelSize | None, serving: dict[str, Any], expected: list[str]
) -> None:
    selector = {} if mib is None else {"nodeSelector": {GPU_MEMORY_LABEL: mib}}
    run = run_of(serving=serving, workloads={"serving": selector})
    deployment, _ = serving_manifests(run, replace(create_serving(run, "m1"), size=size), Images())
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    named = ("--gpu-memory-utilization=", "--max-num-seqs=", "--max-num-batched-tokens=")
    assert [word.partition("=")[2] for word in server["command"] if word.startswith(named)] == expected


def test_engines_of_one_server_share_its_gpus() -> None:
    server = server_of(run_of(serving={"enginesPerServer": 2}))
    assert {"--data-parallel-size=2", "--worker-cls=selfreward_steps.engine.shared_gpu.SharedGpuWorker"} <= {
        *server["command"]
    }
    assert {"name": "SELFREWARD_ENGINES_PER_SERVER", "value": "2"} in server["env"]
    assert server["command"][:2] == ["sh", "-c"]
    eager = server_of(run_of(serving={"enginesPerServer": 2, "args": ["--enforce-eager"]}))
    assert {"name": "SELFREWARD_ENGINES_PER_SERVER", "value": "2"} in eager["env"], "its worker reads it"
    alone = server_of(run_of())
    assert not [word for word in alone["command"] if word.startswith(("--data-parallel", "--worker-cls"))]
    one, two = (run_of(serving={"enginesPerServer": engines}) for engines in (1, 2))
    assert serving_revision(one, Images()) == serving_revision(run_of(), Images()) != serving_revision(two, Images())


def test_a_server_imports_what_its_init_container_lends_it(tmp_path: Path) -> None:
    """Its own image has nothing of ours; the command that is rendered finds what the real init container leaves."""
    store = open_store((tmp_path / "store").as_uri())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    store.commit("m1", tmp_path / "model", inputs_digest="sha256:" + "0" * 64, step="sft")
    run = run_of(serving={"enginesPerServer": 2}, storage={"uri": store.uri})
    deployment, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    pod = deployment["spec"]["template"]["spec"]
    (asked,) = (entry["value"] for entry in pod["initContainers"][0]["env"] if entry["name"] == FETCH_VARIABLE)
    config = FetchConfig.model_validate_json(asked)
    place = tmp_path / "models" / "m1"
    config = config.model_copy(update={"store": StoreConfig(uri=store.uri), "digest": None})
    text = config.model_dump_json(by_alias=True, exclude_none=True)
    assert fetch({FETCH_VARIABLE: text, MODEL_DIR_VARIABLE: str(place)}) == 0
    shell = pod["containers"][0]["command"][:4]
    program = "import selfreward_steps.engine.weights as found; print(found.__file__)"
    environment = {"PATH": os.environ["PATH"], MODEL_DIR_VARIABLE: str(place), "PYTHONPATH": "/theirs"}
    told = subprocess.run(
        [*shell, sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == str(tmp_path / "models" / ".lent" / "selfreward_steps" / "engine" / "weights.py")


@pytest.mark.parametrize(("part", "share"), [("mig-1g.10gb", "0.92"), ("mig-7g.141gb", "0.97"), ("mig-1c.1g.10gb", "")])
def test_a_server_on_a_part_of_a_gpu_is_not_told_of_the_whole_ones_memory(part: str, share: str) -> None:
    whole = {GPU_MEMORY_LABEL: "81920"}
    resources = {"limits": {f"nvidia.com/{part}": 1}}
    server = server_of(run_of(workloads={"serving": {"resources": resources, "nodeSelector": whole}}))
    told = [word for word in server["command"] if word.startswith("--gpu-memory-utilization")]
    assert told == ([f"--gpu-memory-utilization={share}"] if share else [])


@pytest.mark.parametrize("serving", [{"command": ["my-server"]}, {"engine": "transformers"}])
def test_another_engine_gets_nothing_of_vllms(serving: dict[str, Any]) -> None:
    server = server_of(run_of(serving=serving))
    assert "VLLM_WORKER" not in str(server["env"])
    assert "compilation" not in str(server["command"])


def test_only_the_runs_steps_reach_its_servers() -> None:
    run = run_of()
    policy = network_policy(run)
    deployment, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    step = workload(run, *create_step(run, "respond-1"))
    (ingress,) = policy["spec"]["ingress"]
    for selector, document in (
        (policy["spec"]["podSelector"], deployment),
        (ingress["from"][0]["podSelector"], step),
    ):
        labels = document["spec"]["template"]["metadata"]["labels"]
        assert selector["matchLabels"].items() <= labels.items()
    assert policy["spec"]["policyTypes"] == ["Ingress"]


@pytest.mark.parametrize(
    ("serving", "host"),
    [({}, "::"), ({"engine": "transformers"}, ""), ({"engine": "transformers", "command": ["serve"]}, "::")],
    ids=["vllm", "transformers", "own-command"],
)
def test_a_server_binds_both_families(serving: dict[str, Any], host: str) -> None:
    """vLLM binds a socket of its own, on which `::` takes IPv4 too; uvicorn's `::` would be IPv6 alone."""
    run = run_of(serving=serving)
    deployment, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"name": "SELFREWARD_HOST", "value": host} in container["env"]


async def test_the_servers_addresses_take_ipv4_and_ipv6() -> None:
    """A socket of one's own on `::`, as vLLM has, and asyncio's server on no address, as uvicorn's is."""
    own = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    own.bind(("::", 0))
    for given in ({"sock": own}, {"host": "", "port": free_port()}):
        server = await asyncio.start_server(lambda _, writer: writer.close(), **given)
        port = server.sockets[0].getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
        server.close()
