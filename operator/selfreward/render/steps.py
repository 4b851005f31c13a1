"""Manifests of steps: the objects that run one attempt."""

from __future__ import annotations

from collections.abc import Sequence

from selfreward_steps.contract import CONFIG_VARIABLE

from selfreward.api import SelfRewardRun
from selfreward.plan import ChildKind, CreateStep, Node
from selfreward.render.configs import step_config
from selfreward.render.devices import container_resources, pod_claims
from selfreward.render.images import Images, workload_of
from selfreward.render.jobs import indexed_job, job
from selfreward.render.metadata import (
    ATTEMPT,
    COMPONENT,
    ITERATION,
    KEY,
    STEP,
    Manifest,
    object_metadata,
    queue_labels,
    run_labels,
)
from selfreward.render.pods import (
    Container,
    container_manifest,
    home,
    json_value,
    pod_template,
    resources,
    shared_memory,
)
from selfreward.render.revision import REVISION, step_revision
from selfreward.render.secrets import step_environment_from, step_secrets
from selfreward.render.storage import storage_volumes
from selfreward.render.training import Backend, launch_command


def step_manifest(run: SelfRewardRun, node: Node, create: CreateStep, images: Images) -> Manifest:
    """The Job or Indexed Job of one attempt at a step that does not train.

    Raises ValueError for a node of another kind and for a run without storage.
    """
    metadata, template = _metadata(run, node, create, images), _job_template(run, node, create, images)
    match node.kind:
        case ChildKind.JOB:
            return job(metadata, template)
        case ChildKind.INDEXED_JOB if node.shards is not None:
            return indexed_job(metadata, template, node.shards, run.spec.serving.parallelism)
        case kind:
            raise ValueError(f"step {node.key}: {kind} with {node.shards} shards is no Job")


def training_manifests(
    run: SelfRewardRun, node: Node, create: CreateStep, images: Images, backend: Backend, *, shares: bool = False
) -> list[Manifest]:
    """The objects of one attempt at a step that trains, the workload last; with `shares` its devices are the run's,
    by their claim. Raises ValueError for a run without storage."""
    training, workload = run.spec.training, run.spec.workloads.training
    volumes, mounts = storage_volumes(run.spec.storage)
    volume, mount = shared_memory()
    container = Container(
        name=backend.container,
        image=workload.image or images.of_step(node.step),
        command=launch_command(training, node.step),
        environment=_environment(run, node, create),
        environment_from=step_environment_from(run, node),
        mounts=[mount, *mounts],
        resources=container_resources(run.spec, workload, training.processes_per_node, shares=shares),
    )
    template = pod_template(
        workload,
        _pod_labels(run, node, create),
        container_manifest(container, workload),
        volumes=[volume, *volumes],
        claims=pod_claims(run) if shares else (),
        restart=backend.restart,
    )
    return backend.manifests(_metadata(run, node, create, images), training, template)


def _job_template(run: SelfRewardRun, node: Node, create: CreateStep, images: Images) -> Manifest:
    workload = workload_of(node.step, run.spec.workloads)
    volumes, mounts = storage_volumes(run.spec.storage)
    container = Container(
        name="step",
        image=workload.image or images.of_step(node.step),
        command=["python3", "-m", "selfreward_steps", node.step.value],
        environment=_environment(run, node, create),
        environment_from=step_environment_from(run, node),
        mounts=mounts,
        resources=resources(workload),
    )
    manifest = container_manifest(container, workload)
    return pod_template(workload, _pod_labels(run, node, create), manifest, volumes=volumes)


def _metadata(run: SelfRewardRun, node: Node, create: CreateStep, images: Images) -> Manifest:
    revision = {REVISION: step_revision(run, node.step, images)}
    return object_metadata(run, create.name, {**queue_labels(run), **_step_labels(node, create)}, revision)


def _pod_labels(run: SelfRewardRun, node: Node, create: CreateStep) -> dict[str, str]:
    return {**run_labels(run), **_step_labels(node, create)}


def _step_labels(node: Node, create: CreateStep) -> dict[str, str]:
    return {
        COMPONENT: "step",
        ITERATION: str(node.iteration),
        STEP: node.step.value,
        KEY: node.key,
        ATTEMPT: str(create.attempt),
    }


def _environment(run: SelfRewardRun, node: Node, create: CreateStep) -> Sequence[Manifest]:
    config = step_config(run, node, create)
    text = config.model_dump_json(by_alias=True, exclude_none=True)
    return [*home(), *step_secrets(run, node), json_value(CONFIG_VARIABLE, text)]
