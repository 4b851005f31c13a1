"""Runs whose manifests are kept as snapshots: together they take every branch of the room."""

from __future__ import annotations

from typing import Any

from selfreward.api import SelfRewardRun
from selfreward.plan import ChildKind, CreateServing, CreateStep, Node, build_graph, serving_name, step_name
from selfreward.render import Images, Manifest, step_manifest, training_manifests
from selfreward.render.training import PYTORCHJOB, Backend
from selfreward_steps.contract import InputRef

NO_GPU = {"requests": {"cpu": "2"}, "limits": {"memory": "8Gi", "nvidia.com/gpu": 0}}
IMAGES_TAG = "0.1.0"


def run_of(name: str = "demo", **spec: Any) -> SelfRewardRun:
    """A run as the API server would give it, with `spec` over a small faithful one."""
    base: dict[str, Any] = {
        "model": {"uri": "hf://HuggingFaceTB/SmolLM2-135M"},
        "seedData": {
            "instructions": {"uri": "hf://datasets/OpenAssistant/oasst2"},
            "rankings": {"uri": "s3://data/rankings.jsonl"},
        },
        "storage": {"uri": "s3://bucket/runs"},
    }
    metadata = {"name": name, "namespace": "research", "uid": "5f1c0a52-7a0e-4d4e-9a57-4b2f6a5f9a11"}
    return SelfRewardRun.model_validate({"metadata": metadata, "spec": base | spec})


def create_step(run: SelfRewardRun, key: str, attempt: int = 1) -> tuple[Node, CreateStep]:
    """What the decision function asks for: a made-up digest an input."""
    graph = build_graph(run.spec)
    node = graph.node(key)
    shards = {artifact: other.shards for other in graph.nodes for artifact in other.outputs}
    inputs = {
        role: InputRef(artifact=artifact, digest="sha256:" + "0" * 63 + str(index), shards=shards[artifact])
        for index, (role, artifact) in enumerate(node.inputs.items())
    }
    return node, CreateStep(step_name(run.metadata.name, key, attempt), key, attempt, inputs)


def workload(
    run: SelfRewardRun, node: Node, create: CreateStep, images: Images | None = None, backend: Backend = PYTORCHJOB
) -> Manifest:
    """The object that runs an attempt at a step of any kind."""
    images = images or Images()
    if node.kind is ChildKind.TRAINING:
        return training_manifests(run, node, create, images, backend)[-1]
    return step_manifest(run, node, create, images)


def create_serving(run: SelfRewardRun, model: str, attempt: int = 1) -> CreateServing:
    name = serving_name(run.metadata.name, model, attempt)
    return CreateServing(name=name, model=model, attempt=attempt, digest="sha256:" + "a" * 64)


SECRETS: dict[str, Any] = {
    "model": {"uri": "hf://meta/gated", "tokenSecretRef": {"name": "hub"}},
    "storage": {
        "uri": "s3://bucket/runs/",
        "secret": "s3-credentials",
        "endpointUrl": "https://minio.store:9000",
        "region": "eu-central-1",
    },
    "serving": {"apiKeySecretRef": {"name": "server", "key": "key"}, "parallelism": 8, "maxModelLength": 4096},
    "judge": {
        "model": "endpoint",
        "endpoint": {
            "url": "https://judge.example.com/v1",
            "model": "big-judge",
            "apiKeySecretRef": {"name": "judge", "key": "key"},
        },
        # Kubernetes would expand these two in the configuration, if they came to stand there as they are.
        "template": "custom",
        "customTemplate": {"text": "$(HOME) costs $$5: {prompt} {response}"},
    },
    "training": {"reportTo": ["wandb"], "trackerSecret": "wandb"},
    "publish": {"repository": "team/run", "tokenSecretRef": {"name": "hub-writer"}},
}
PLACED: dict[str, Any] = {
    "workloads": {
        kind: {
            "image": f"registry.example.com/{kind}@sha256:{'b' * 64}",
            "imagePullPolicy": "Always",
            "imagePullSecrets": ["registry"],
            "resources": {"requests": {"cpu": "4", "memory": "16Gi"}, "limits": {"nvidia.com/gpu": "2"}},
            "nodeSelector": {"pool": kind},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
            "priorityClassName": "low",
            "runtimeClassName": "nvidia",
            "serviceAccountName": "runs",
            "labels": {"team": "alignment", "selfreward.dev/run": "cannot-be-overridden"},
            "annotations": {"note": "hello"},
            "env": [{"name": "NCCL_DEBUG", "value": "WARN"}],
            "volumes": [{"name": "cache", "emptyDir": {}}],
            "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
            "terminationGracePeriodSeconds": 300,
        }
        for kind in ("serving", "generation", "training", "processing")
    }
}
ON_A_CLAIM: dict[str, Any] = {"storage": {"uri": "file:///mnt/runs%20here", "claimName": "runs"}}
OTHER_JUDGE: dict[str, Any] = {
    "judge": {"model": "model", "source": {"uri": "hf://big/judge", "tokenSecretRef": {"name": "hub", "key": "k"}}}
}
PROMPTS_FROM_FILE: dict[str, Any] = {
    "prompts": {"generator": "file", "source": {"uri": "s3://data/prompts.parquet"}},
    "eft": {"mode": "direct"},
}
EVALUATED: dict[str, Any] = {
    "evaluation": {
        "source": {"uri": "hf://datasets/tatsu-lab/alpaca_eval", "tokenSecretRef": {"name": "hub"}},
        "judge": {
            "model": "endpoint",
            "endpoint": {
                "url": "https://judge.example.com/v1",
                "model": "big-judge",
                "apiKeySecretRef": {"name": "evaluation-judge", "key": "key"},
            },
        },
    }
}
SELECTED: dict[str, Any] = {"training": {"dpo": {"selection": {"checkpoints": 2}}}}
TEMPLATE_IN_A_CONFIG_MAP: dict[str, Any] = {
    "judge": {"template": "custom", "customTemplate": {"configMapRef": {"name": "judge"}, "maxScore": 10}}
}
