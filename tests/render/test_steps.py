"""Manifests of steps and servers, against snapshots (`pytest tests/render --update` writes them anew)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from render.cases import (
    EVALUATED,
    ON_A_CLAIM,
    OTHER_JUDGE,
    PLACED,
    PROMPTS_FROM_FILE,
    SECRETS,
    SELECTED,
    TEMPLATE_IN_A_CONFIG_MAP,
    create_serving,
    create_step,
    run_of,
    workload,
)
from selfreward.cluster.local.ports import free_port
from selfreward.plan import build_graph
from selfreward.render import (
    Images,
    key_secret,
    network_policy,
    service_name,
    serving_key,
    serving_manifests,
    step_manifest,
    store_config,
)
from selfreward_steps.contract import StepName, parse_config

NO_GPU = {"requests": {"cpu": "2"}, "limits": {"memory": "8Gi", "nvidia.com/gpu": 0}}
SNAPSHOTS = Path(__file__).parent / "snapshots"
CASES: dict[str, tuple[dict[str, Any], str]] = {
    **{key: ({}, key) for key in ("import", "sft-baseline", "eft", "sft")},
    **{key: ({}, key) for key in ("prompts-1", "respond-1", "judge-1", "pairs-1", "dpo-1", "prompts-2")},
    **{key: ({}, key) for key in ("evaluate-sft-baseline", "evaluate-m1", "evaluate-m2")},
    **{key: (SELECTED, key) for key in ("respond-m2-checkpoint-1", "select-1")},
    **{f"{key}-selected": (SELECTED, f"{key}-1") for key in ("prompts", "dpo")},
    "import-secrets": (SECRETS, "import"),
    "import-other-judge": (OTHER_JUDGE, "import"),
    "judge-endpoint-secrets": (SECRETS, "judge-1"),
    "respond-secrets": (SECRETS, "respond-1"),
    "dpo-tracker": (SECRETS, "dpo-2"),
    "dpo-claim": (ON_A_CLAIM, "dpo-1"),
    "dpo-one-node": ({"training": {"processesPerNode": 8}}, "dpo-1"),
    "dpo-two-nodes": ({"training": {"nodes": 2, "processesPerNode": 8}}, "dpo-1"),
    "dpo-placed": (PLACED, "dpo-1"),
    "respond-placed": (PLACED, "respond-1"),
    "prompts-file": (PROMPTS_FROM_FILE, "prompts-1"),
    "eft-direct": (PROMPTS_FROM_FILE, "eft"),
    "import-template": (TEMPLATE_IN_A_CONFIG_MAP, "import"),
    "import-evaluation": (EVALUATED, "import-evaluation"),
    "answer-m2": (EVALUATED, "answer-m2"),
    "evaluate-m2-endpoint": (EVALUATED, "evaluate-m2"),
}
SERVINGS: dict[str, dict[str, Any]] = {
    "serving-vllm": {},
    "serving-secrets": SECRETS,
    "serving-claim": ON_A_CLAIM,
    "serving-placed": PLACED,
    "serving-transformers": {"serving": {"engine": "transformers", "args": ["--log-level=info"], "dtype": "float32"}},
    "serving-tensor-parallel": {"serving": {"engine": "vllm", "tensorParallel": 4, "replicas": 2}},
    "serving-processors": {"workloads": {"serving": {"resources": NO_GPU}}},
    "serving-command": {"serving": {"command": ["my-server", "$(SELFREWARD_MODEL_DIR)"], "args": ["--fast"]}},
    "serving-command-with-key": {
        "serving": {"command": ["my-server"], "apiKeySecretRef": {"name": "server", "key": "key"}}
    },
}


class Plain(yaml.SafeDumper):
    """Without anchors and aliases, which hide what a reader of the diff wants to see."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def manifests(name: str) -> list[dict[str, Any]]:
    if name in SERVINGS:
        run = run_of(**SERVINGS[name])
        return list(serving_manifests(run, create_serving(run, "m1", attempt=2), Images()))
    spec, key = CASES[name]
    run = run_of(**spec)
    return [workload(run, *create_step(run, key))]


def containers(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield from [*document.get("containers", []), *document.get("initContainers", [])]
        document = list(document.values())
    if isinstance(document, list):
        for item in document:
            yield from containers(item)


@pytest.mark.parametrize("name", [*CASES, *SERVINGS])
def test_manifest_is_the_snapshot(name: str, update: bool) -> None:
    text = yaml.dump_all(manifests(name), Dumper=Plain, sort_keys=False, width=120)
    path = SNAPSHOTS / f"{name}.yaml"
    if update:
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_no_snapshot_is_left_over() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.yaml")} == set(CASES) | set(SERVINGS)


@pytest.mark.parametrize("name", [*CASES, *SERVINGS])
def test_every_container_passes_pod_security_restricted(name: str) -> None:
    found = [container for document in manifests(name) for container in containers(document)]
    assert found
    for container in found:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("name", CASES)
def test_configuration_survives_the_way_into_the_pod(name: str) -> None:
    """No `$` for Kubernetes to expand, and what the step reads is the whole configuration."""
    (document,) = manifests(name)
    (container,) = containers(document)
    (text,) = (entry["value"] for entry in container["env"] if entry["name"] == "SELFREWARD_CONFIG")
    assert "$" not in text
    config = parse_config(text)
    assert config.step == container["command"][-1]
    if name == "judge-endpoint-secrets":
        assert json.loads(text)["settings"]["customTemplate"]["text"] == "$(HOME) costs $$5: {prompt} {response}"


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="faithful"),
        pytest.param(OTHER_JUDGE, id="other-judge"),
        pytest.param(SECRETS, id="secrets"),
        pytest.param(SELECTED, id="selected"),
    ],
)
def test_every_node_of_the_graph_has_a_manifest(spec: dict[str, Any]) -> None:
    run = run_of(**spec)
    kinds = {}
    for node in build_graph(run.spec).nodes:
        document = workload(run, *create_step(run, node.key))
        kinds[node.step] = document["kind"]
        assert document["metadata"]["labels"]["selfreward.dev/key"] == node.key
        assert document["metadata"]["ownerReferences"][0]["uid"] == run.metadata.uid
    optional = set() if spec == SELECTED else {StepName.SELECT}
    assert kinds.keys() == set(StepName) - optional


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
    deployment, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
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
    deployment, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    assert f"--kv-cache-memory-bytes={cache}" in server["command"]
    assert "--dtype=float32" in server["command"]
    assert {entry["name"]: entry.get("value") for entry in server["env"]}.get("OMP_NUM_THREADS") == threads


def test_a_server_without_a_gpu_is_as_the_user_says() -> None:
    own = [{"name": "OMP_WAIT_POLICY", "value": "active"}]
    serving = {"dtype": "bfloat16", "args": ["--max-num-seqs=8"]}
    run = run_of(serving=serving, workloads={"serving": {"resources": NO_GPU, "env": own}})
    deployment, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    assert "--dtype=bfloat16" in server["command"]
    assert server["command"][-1] == "--max-num-seqs=8"
    # Two entries of one name are no list that the API server merges.
    assert [entry for entry in server["env"] if entry["name"] == "OMP_WAIT_POLICY"] == own


def test_a_command_of_ones_own_gets_nothing_for_processors() -> None:
    run = run_of(serving={"command": ["my-server"]}, workloads={"serving": {"resources": NO_GPU}})
    deployment, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    assert server["command"] == ["my-server"]
    assert "VLLM_CPU_OMP_THREADS_BIND" not in str(server["env"])


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


@pytest.mark.parametrize("key", ["import", "respond-1", "dpo-1", "serving"])
def test_the_labels_of_a_queue_pass_through(key: str) -> None:
    run = run_of()
    queue = {"kueue.x-k8s.io/queue-name": "team", "kueue.x-k8s.io/priority-class": "low"}
    metadata = run.metadata.model_copy(update={"labels": queue | {"other": "label"}})
    run = run.model_copy(update={"metadata": metadata})
    if key == "serving":
        document, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    else:
        document = workload(run, *create_step(run, key))
    assert queue.items() <= document["metadata"]["labels"].items()
    assert "other" not in document["metadata"]["labels"]


def test_names_fit_and_stay_apart() -> None:
    """Kubernetes appends to names and caps labels at 63; two runs that differ at the end must not share a Service."""
    first, second = ("a" * 60 + "-x", "a" * 60 + "-y")
    assert len(service_name(first, "judge-model")) <= 50
    assert service_name(first, "m1") != service_name(second, "m1")
    run = run_of(name=first)
    document = workload(run, *create_step(run, "sft-baseline"))
    assert len(document["metadata"]["name"]) <= 50
    assert all(len(value) <= 63 for value in document["metadata"]["labels"].values())


def test_a_run_lies_in_a_folder_of_its_own() -> None:
    assert store_config(run_of(name="demo")).uri == "s3://bucket/runs/research/demo"
    assert store_config(run_of(storage={"uri": "file:///data/"})).uri == "file:///data/research/demo"


def test_what_cannot_be_rendered_names_the_field() -> None:
    run = run_of(storage={})
    for key in ("import", "sft"):
        with pytest.raises(ValueError, match=r"spec\.storage\.uri"):
            workload(run, *create_step(run, key))


def test_a_step_that_trains_is_no_job() -> None:
    run = run_of()
    with pytest.raises(ValueError, match="step sft: Training"):
        step_manifest(run, *create_step(run, "sft"), Images())


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


def test_no_pod_gets_a_sidecar_of_a_mesh() -> None:
    run = run_of(workloads={"serving": {"annotations": {"team": "a"}}})
    deployment, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    metadata = deployment["spec"]["template"]["metadata"]
    assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
    assert metadata["annotations"] == {"team": "a", "linkerd.io/inject": "disabled"}
