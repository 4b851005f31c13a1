"""The server of a kept engine: a Deployment whose pods serve model after model, and start with none.

Beside vLLM runs an agent, with which the pod's annotation is mounted as a file. What a pod serves stands in that
annotation and in its label for Services to find it by, both written when it is assigned; the template has neither, so a
pod that is created anew serves nothing until it is told. It must not decide what is assigned.
"""

from __future__ import annotations

from typing import Final

from selfreward_steps.contract import AGENT_VARIABLE, AgentConfig, Assignment

from selfreward.api import SelfRewardRun
from selfreward.plan import CreateServing
from selfreward.render.connection import connected
from selfreward.render.devices import pod_claims
from selfreward.render.images import Images
from selfreward.render.metadata import (
    ASSIGNMENT,
    ATTEMPT,
    COMPONENT,
    ENGINE,
    MODEL,
    RUN_UID,
    SERVICE_PORT,
    Manifest,
    run_labels,
)
from selfreward.render.pods import (
    Container,
    container_manifest,
    home,
    json_value,
    pod_template,
    shared_memory,
    without_devices,
)
from selfreward.render.serving import MODELS, deployment, key_variable, model_service, server_container
from selfreward.render.storage import storage_environment, storage_volumes, store_config

AGENT: Final = "agent"
"""Name of the agent's container."""
_LENT: Final = "/lent"
_ASSIGNED: Final = "/assigned"
_FILE: Final = "assignment"
_PROBE_PORT: Final = 8001
_AGENT_RESOURCES: Final = {
    "requests": {"cpu": "100m", "memory": "256Mi"},
    "limits": {"cpu": "4", "memory": "1Gi"},
}
"""Reading and hashing of files; it rests while the server works."""


def kept_manifests(
    run: SelfRewardRun, create: CreateServing, images: Images, *, shares: bool = False
) -> tuple[Manifest, Manifest]:
    """The Deployment of an engine, and the Service of its first model; with `shares` its devices are the run's."""
    pod_labels = {COMPONENT: "serving", ENGINE: create.name, ATTEMPT: str(create.attempt)}
    selector = {RUN_UID: run.metadata.uid, **pod_labels}
    template = _template(run, create, images, {**run_labels(run), **pod_labels}, shares=shares)
    labels = {**pod_labels, MODEL: create.model}
    return deployment(run, create, images, labels, selector, template), model_service(run, create.model)


def assignment_patch(assignment: Assignment, version: str) -> Manifest:
    """The patch that tells a pod, as it was at `version`, what to serve, and Services that it does."""
    return {
        "metadata": {
            "resourceVersion": version,
            "labels": {MODEL: assignment.model},
            "annotations": {ASSIGNMENT: assignment.model_dump_json()},
        }
    }


def _template(
    run: SelfRewardRun, create: CreateServing, images: Images, labels: dict[str, str], *, shares: bool
) -> Manifest:
    workload = run.spec.workloads.serving
    volumes, mounts = storage_volumes(run.spec.storage)
    memory, memory_mount = shared_memory()
    models, lent = {"name": "models", "mountPath": MODELS}, {"name": "lent", "mountPath": _LENT}
    lender = Container(
        name="lend-engine",
        image=images.judge,
        command=["python3", "-m", "selfreward_steps.engine.lend", _LENT],
        environment=home(),
        mounts=[lent],
        resources=without_devices(workload),
    )
    read_only = [{**mount, "readOnly": True} for mount in [lent, *mounts]]
    server = server_container(run, create, images, home(), [], [models, memory_mount, *read_only], shares=shares)
    server_manifest = container_manifest(server, workload)
    # What it starts with, the agent knows: `$(NAME)` of a variable that the pod does not have stays as it is.
    start = ["python3", f"{_LENT}/selfreward_steps/engine/start.py", MODELS]
    server_manifest["command"] = [*start, *server_manifest["command"]]
    return pod_template(
        workload,
        labels,
        server_manifest,
        beside=[_agent(run, images, [models, *mounts])],
        volumes=[
            *({"name": name, "emptyDir": {}} for name in ("models", "lent")),
            _assigned(),
            memory,
            *volumes,
        ],
        init=[container_manifest(lender, workload.model_copy(update={"env": [], "volume_mounts": []}))],
        claims=pod_claims(run) if shares else (),
        restart="Always",
    )


def _agent(run: SelfRewardRun, images: Images, mounts: list[Manifest]) -> Manifest:
    config = AgentConfig(
        store=store_config(run),
        assignment=f"{_ASSIGNED}/{_FILE}",
        models=MODELS,
        server_port=SERVICE_PORT,
        probe_port=_PROBE_PORT,
    )
    text = config.model_dump_json(by_alias=True, exclude_none=True)
    probe = {"httpGet": {"path": "/", "port": _PROBE_PORT}, "periodSeconds": 1, "timeoutSeconds": 5}
    agent = Container(
        name=AGENT,
        image=images.judge,
        command=["python3", "-m", "selfreward_steps", "agent"],
        environment=[*home(), json_value(AGENT_VARIABLE, text), *key_variable(run)],
        environment_from=storage_environment(run.spec.storage),
        mounts=[{"name": "assigned", "mountPath": _ASSIGNED, "readOnly": True}, *mounts],
        resources=_AGENT_RESOURCES,
        probes={"readinessProbe": probe | {"failureThreshold": 1}},
    )
    return container_manifest(agent, connected(run.spec.workloads.serving))


def _assigned() -> Manifest:
    """The pod's annotation as a file, which the kubelet keeps up to date."""
    field = f"metadata.annotations['{ASSIGNMENT}']"
    item = {"path": _FILE, "fieldRef": {"apiVersion": "v1", "fieldPath": field}}
    return {"name": "assigned", "downwardAPI": {"items": [item]}}
