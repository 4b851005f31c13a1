"""Step → the one object that runs an attempt at it."""

from __future__ import annotations

from collections.abc import Sequence

from selfreward_steps.contract import CONFIG_VARIABLE

from selfreward.api import SelfRewardRun
from selfreward.plan import ChildKind, CreateStep, Node
from selfreward.render.configs import step_config
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
from selfreward.render.placement import PLACEMENT, step_placement
from selfreward.render.pods import (
    Container,
    container_manifest,
    home,
    json_value,
    pod_template,
    resources,
    shared_memory,
)
from selfreward.render.secrets import step_environment_from, step_secrets
from selfreward.render.storage import storage_volumes
from selfreward.render.training import launch_command, pytorch_job


def step_manifest(run: SelfRewardRun, node: Node, create: CreateStep, images: Images) -> Manifest:
    """The Job, Indexed Job or training job of one attempt.

    Raises ValueError for a serving node, for a run without storage and for a training backend that is not there.
    """
    labels = {
        COMPONENT: "step",
        ITERATION: str(node.iteration),
        STEP: node.step.value,
        KEY: node.key,
        ATTEMPT: str(create.attempt),
    }
    placement = {PLACEMENT: step_placement(run, node.step, images)}
    metadata = object_metadata(run, create.name, {**queue_labels(run), **labels}, placement)
    pod_labels = {**run_labels(run), **labels}
    match node.kind:
        case ChildKind.JOB:
            return job(metadata, _template(run, node, create, images, pod_labels))
        case ChildKind.INDEXED_JOB:
            if node.shards is None:
                raise ValueError(f"step {node.key} has no shards")
            template = _template(run, node, create, images, pod_labels)
            return indexed_job(metadata, template, node.shards, run.spec.serving.parallelism)
        case ChildKind.TRAINING:
            return pytorch_job(metadata, run.spec.training, _training_template(run, node, create, images, pod_labels))
        case ChildKind.SERVING:
            raise ValueError(f"step {node.key}: a server is not a step")


def _template(run: SelfRewardRun, node: Node, create: CreateStep, images: Images, labels: dict[str, str]) -> Manifest:
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
    return pod_template(workload, labels, container_manifest(container, workload), volumes=volumes)


def _training_template(
    run: SelfRewardRun, node: Node, create: CreateStep, images: Images, labels: dict[str, str]
) -> Manifest:
    workload = run.spec.workloads.training
    training = run.spec.training
    volumes, mounts = storage_volumes(run.spec.storage)
    volume, mount = shared_memory()
    container = Container(
        name="pytorch",
        image=workload.image or images.of_step(node.step),
        command=launch_command(training, node.step),
        environment=_environment(run, node, create),
        environment_from=step_environment_from(run, node),
        mounts=[mount, *mounts],
        resources=resources(workload, gpus=training.processes_per_node),
    )
    manifest = container_manifest(container, workload)
    return pod_template(workload, labels, manifest, volumes=[volume, *volumes], restart=None)


def _environment(run: SelfRewardRun, node: Node, create: CreateStep) -> Sequence[Manifest]:
    config = step_config(run, node, create)
    text = config.model_dump_json(by_alias=True, exclude_none=True)
    return [*home(), *step_secrets(run, node), json_value(CONFIG_VARIABLE, text)]
