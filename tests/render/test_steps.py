"""Manifests of steps and servers, against snapshots (`pytest tests/render --update` writes them anew)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from render.cases import (
    EVALUATED,
    NO_GPU,
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
from selfreward.api import Keeping
from selfreward.plan import build_graph
from selfreward.render import (
    Images,
    device_claim,
    kept_manifests,
    service_name,
    serving_manifests,
    step_manifest,
    store_config,
)
from selfreward_steps.contract import StepName, parse_config

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
    "publish-m2": (SECRETS, "publish-m2"),
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
KEPT: dict[str, tuple[dict[str, Any], Keeping]] = {
    "kept-awake": (SECRETS | {"serving": {"replicas": 2}}, Keeping.AWAKE),
    "kept-asleep": ({"serving": {"deviceClassName": "gpu.example.com", "tensorParallel": 2}}, Keeping.ASLEEP),
}


class Plain(yaml.SafeDumper):
    """Without anchors and aliases, which hide what a reader of the diff wants to see."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def manifests(name: str) -> list[dict[str, Any]]:
    if name in SERVINGS:
        run = run_of(**SERVINGS[name])
        return list(serving_manifests(run, create_serving(run, "m1", attempt=2), Images()))
    if name in KEPT:
        spec, keeping = KEPT[name]
        run, shares = run_of(**spec), keeping is Keeping.ASLEEP
        create = replace(create_serving(run, "m1", attempt=2), keeping=keeping)
        claim = [device_claim(run)] if shares else []
        return [*kept_manifests(run, create, Images(), shares=shares), *claim]
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


@pytest.mark.parametrize("name", [*CASES, *SERVINGS, *KEPT])
def test_manifest_is_the_snapshot(name: str, update: bool) -> None:
    text = yaml.dump_all(manifests(name), Dumper=Plain, sort_keys=False, width=120)
    path = SNAPSHOTS / f"{name}.yaml"
    if update:
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_no_snapshot_is_left_over() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.yaml")} == set(CASES) | set(SERVINGS) | set(KEPT)


@pytest.mark.parametrize("name", [*CASES, *SERVINGS, *KEPT])
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
    asked = {StepName.SELECT: SELECTED, StepName.PUBLISH: SECRETS}
    assert kinds.keys() == {step for step in StepName if spec == asked.get(step, spec)}


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
    assert store_config(run_of(name="demo")).uri == "s3://bucket/runs/namespace=research/demo"
    assert store_config(run_of(storage={"uri": "file:///data/"})).uri == "file:///data/namespace=research/demo"


def test_what_cannot_be_rendered_names_the_field() -> None:
    run = run_of(storage={})
    for key in ("import", "sft"):
        with pytest.raises(ValueError, match=r"spec\.storage\.uri"):
            workload(run, *create_step(run, key))


def test_a_step_that_trains_is_no_job() -> None:
    run = run_of()
    with pytest.raises(ValueError, match="step sft: Training"):
        step_manifest(run, *create_step(run, "sft"), Images())


def test_no_pod_gets_a_sidecar_of_a_mesh() -> None:
    run = run_of(workloads={"serving": {"annotations": {"team": "a"}}})
    deployment, _ = serving_manifests(run, create_serving(run, "m1"), Images())
    metadata = deployment["spec"]["template"]["metadata"]
    assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
    assert metadata["annotations"] == {"team": "a", "linkerd.io/inject": "disabled"}
