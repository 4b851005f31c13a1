"""The server of a model: a Deployment, and a Service whose name outlives the Deployment's attempts."""

from __future__ import annotations

from typing import Final

from selfreward_steps.contract import (
    FETCH_VARIABLE,
    HOST_VARIABLE,
    MODEL_DIR_VARIABLE,
    MODEL_NAME_VARIABLE,
    PORT_VARIABLE,
    SERVING_KEY,
    FetchConfig,
    Precision,
)

from selfreward.api import Keeping, SelfRewardRun, Serving, ServingEngine, Training
from selfreward.plan import CreateServing
from selfreward.render.access import serving_key
from selfreward.render.connection import connected
from selfreward.render.devices import container_resources, pod_claims
from selfreward.render.gpu_engine import WITH_LENT, gpu_arguments, gpu_variables, imports_lent
from selfreward.render.images import Images
from selfreward.render.metadata import (
    ATTEMPT,
    COMPONENT,
    MODEL,
    RUN_UID,
    SERVICE_PORT,
    Manifest,
    object_metadata,
    queue_labels,
    run_labels,
    service_name,
)
from selfreward.render.pods import (
    Container,
    container_manifest,
    home,
    json_value,
    pod_template,
    shared_memory,
    value,
    value_from_secret,
    without_devices,
)
from selfreward.render.processors import has_no_gpu, on_processors, pod_cache, pod_variables
from selfreward.render.revision import REVISION, serving_revision
from selfreward.render.storage import storage_environment, storage_volumes, store_config

MODELS: Final = "/models"
"""Where the init container puts the model: an emptyDir, or links into the storage volume."""
_EXCHANGED: Final = (
    "--middleware=selfreward_steps.engine.exchange.Exchange",
    "--worker-extension-cls=selfreward_steps.engine.weights.Weights",
)
_KEPT: Final = {
    Keeping.NEVER: (),
    Keeping.AWAKE: _EXCHANGED,
    Keeping.ASLEEP: ("--enable-sleep-mode", *_EXCHANGED),
}
"""What vLLM needs for what becomes of it between two turns."""
_PROBE_SECONDS: Final = 5
_MOST: Final = 2**31 - 1
"""Of what Kubernetes keeps in 32 bits."""
_QUIET: Final = (value("HF_HUB_OFFLINE", "1"), value("VLLM_NO_USAGE_STATS", "1"))
"""The model is in its folder: a server that asks a hub for it, or reports to anybody, waits where neither is."""


def serving_manifests(
    run: SelfRewardRun, create: CreateServing, images: Images, *, shares: bool = False
) -> tuple[Manifest, Manifest]:
    """The Deployment of one attempt, and the model's Service, which every attempt applies again; with `shares` the
    server's devices are the run's, by their claim."""
    labels = {COMPONENT: "serving", MODEL: create.model, ATTEMPT: str(create.attempt)}
    # An attempt's own pods only: the Service, not the Deployment, spans attempts.
    selector = {RUN_UID: run.metadata.uid, **labels}
    template = _template(run, create, images, {**run_labels(run), **labels}, shares=shares)
    return deployment(run, create, images, labels, selector, template), model_service(run, create.model)


def deployment(
    run: SelfRewardRun,
    create: CreateServing,
    images: Images,
    labels: Manifest,
    selector: Manifest,
    template: Manifest,
) -> Manifest:
    """The Deployment of one attempt at a server, of these pods."""
    revision = {REVISION: serving_revision(run, images)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": object_metadata(run, create.name, {**queue_labels(run), **labels}, revision),
        "spec": {
            "replicas": run.spec.serving.replicas,
            "selector": {"matchLabels": selector},
            # Two generations of pods would ask for the GPUs twice.
            "strategy": {"type": "Recreate"},
            "progressDeadlineSeconds": min(run.spec.deadlines.serving, _MOST),
            "template": template,
        },
    }


def model_service(run: SelfRewardRun, model: str) -> Manifest:
    """The Service of a model, whichever pods serve it."""
    labels = {COMPONENT: "serving", MODEL: model}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": object_metadata(run, service_name(run.metadata.name, model), labels),
        "spec": {
            "selector": {RUN_UID: run.metadata.uid, **labels},
            "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": "http"}],
        },
    }


def _template(
    run: SelfRewardRun, create: CreateServing, images: Images, labels: dict[str, str], *, shares: bool
) -> Manifest:
    workload = run.spec.workloads.serving
    volumes, mounts = storage_volumes(run.spec.storage)
    memory, memory_mount = shared_memory()
    models_mount = {"name": "models", "mountPath": MODELS}
    places = [*home(), value(MODEL_DIR_VARIABLE, f"{MODELS}/{create.model}")]
    fetch = FetchConfig(
        store=store_config(run),
        artifact=create.model,
        digest=create.digest,
        lends=imports_lent(run.spec.serving, create.keeping) or None,
    )
    init = Container(
        name="fetch-model",
        image=images.judge,
        command=["python3", "-m", "selfreward_steps", "fetch"],
        environment=[*places, json_value(FETCH_VARIABLE, fetch.model_dump_json(by_alias=True, exclude_none=True))],
        environment_from=storage_environment(run.spec.storage),
        mounts=[models_mount, *mounts],
        # Where a quota counts requests or limits, a container without them is refused, and with it every server. The
        # server's own cost nothing here: a pod asks for the larger of the two, and they do not run together.
        resources=without_devices(workload),
    )
    name = [value(MODEL_NAME_VARIABLE, create.model)]
    # A folder store is linked to, not copied: the server reads the storage volume itself.
    read_only = [{**mount, "readOnly": True} for mount in mounts]
    server = server_container(
        run, create, images, places, name, [models_mount, memory_mount, *read_only], shares=shares
    )
    return pod_template(
        workload,
        labels,
        container_manifest(server, workload),
        volumes=[{"name": "models", "emptyDir": {}}, memory, *volumes],
        init=[container_manifest(init, connected(workload))],
        claims=pod_claims(run) if shares else (),
        restart="Always",
    )


def server_container(
    run: SelfRewardRun,
    create: CreateServing,
    images: Images,
    places: list[Manifest],
    name: list[Manifest],
    mounts: list[Manifest],
    *,
    shares: bool,
) -> Container:
    """The container of the server, which finds its model by `places` and is called by `name`."""
    serving, workload = run.spec.serving, run.spec.workloads.serving
    named = [entry["name"] for entry in workload.env]
    if has_no_gpu(run.spec):
        serving = on_processors(serving, pod_cache(workload.resources))
        engine = pod_variables(run.spec, named)
    else:
        engine = gpu_variables(serving, named)
        serving = serving.model_copy(update={"args": [*gpu_arguments(run.spec, serving, create.size), *serving.args]})
    command = serving_command(_exact(serving, run.spec.training), run.spec.random_seed, create.keeping)
    return Container(
        name="server",
        image=workload.image or images.generator,
        command=[*WITH_LENT, *command] if imports_lent(serving, create.keeping) else command,
        environment=[*places, *_QUIET, *engine, *name, *_address(serving), *key_variable(run)],
        mounts=mounts,
        resources=container_resources(run.spec, workload, serving.tensor_parallel, shares=shares),
        probes=_probes(run),
        ports=[{"name": "http", "containerPort": SERVICE_PORT}],
    )


def _address(serving: Serving) -> list[Manifest]:
    # IPv4 and IPv6, whichever the cluster has. uvicorn, which is transformers' server, takes `::` for IPv6 alone, and
    # no address for both.
    by_uvicorn = serving.engine is ServingEngine.TRANSFORMERS and not serving.command
    return [
        value(HOST_VARIABLE, "" if by_uvicorn else "::"),
        value(PORT_VARIABLE, str(SERVICE_PORT)),
    ]


def key_variable(run: SelfRewardRun) -> list[Manifest]:
    """The key that the server asks for."""
    ref = serving_key(run)
    return [] if ref is None else [value_from_secret(SERVING_KEY, ref)]


def _exact(serving: Serving, training: Training) -> Serving:
    """The serving that computes in what the trained models are written in.

    An engine that chooses takes a half-precision format for float32 weights and rounds them to nearest, which loses
    what a round has learnt (`training.rounding`).
    """
    written = {training.sft.precision, training.dpo.precision}
    return (
        serving.model_copy(update={"dtype": "float32"})
        if serving.dtype == "auto" and Precision.FP32 in written
        else serving
    )


def serving_command(serving: Serving, seed: int, keeping: Keeping = Keeping.NEVER) -> list[str]:
    """The server's command line, with `$(NAME)` for what the pod's environment says."""
    if serving.command:
        return [*serving.command, *serving.args]
    match serving.engine:
        case ServingEngine.AUTO | ServingEngine.VLLM:
            return [*_vllm(serving, seed), *_KEPT[keeping], *serving.args]
        case ServingEngine.TRANSFORMERS:
            return [*_transformers(serving, seed), *serving.args]


def _vllm(serving: Serving, seed: int) -> list[str]:
    command = [
        "python3",
        "-m",
        "vllm.entrypoints.openai.api_server",
        f"--model=$({MODEL_DIR_VARIABLE})",
        f"--served-model-name=$({MODEL_NAME_VARIABLE})",
        f"--host=$({HOST_VARIABLE})",
        f"--port=$({PORT_VARIABLE})",
        f"--dtype={serving.dtype}",
        f"--seed={seed}",
        f"--tensor-parallel-size={serving.tensor_parallel}",
        "--enable-prefix-caching",
        # The model's generation_config would add its own top-k and penalties to the temperature and p asked for.
        "--generation-config=vllm",
        "--uvicorn-log-level=warning",
    ]
    if serving.max_model_length is not None:
        command.append(f"--max-model-len={serving.max_model_length}")
    return command


def _transformers(serving: Serving, seed: int) -> list[str]:
    # It answers to nothing but the path it was given, so it is started beside the folder that bears the model's name.
    return [
        "sh",
        "-c",
        'cd "$0/.." && exec transformers serve "$@"',
        f"$({MODEL_DIR_VARIABLE})",
        f"$({MODEL_NAME_VARIABLE})",
        f"--host=$({HOST_VARIABLE})",
        f"--port=$({PORT_VARIABLE})",
        f"--dtype={serving.dtype}",
        f"--default-seed={seed}",
    ]


def _probes(run: SelfRewardRun) -> dict[str, Manifest]:
    """Start as long as `deadlines.serving` allows; then out of the Service while it does not answer, and restarted
    after three minutes of silence: a busy engine may be slow to answer, and a restart loses every request."""
    check = _check(run.spec.serving)
    return {
        "startupProbe": {
            **check,
            "periodSeconds": _PROBE_SECONDS,
            "timeoutSeconds": 5,
            "failureThreshold": min(-(-run.spec.deadlines.serving // _PROBE_SECONDS), _MOST),
        },
        "readinessProbe": {**check, "periodSeconds": _PROBE_SECONDS, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**check, "periodSeconds": 30, "timeoutSeconds": 10, "failureThreshold": 6},
    }


def _check(serving: Serving) -> Manifest:
    """Our engines have /health. Any other server has /v1/models, which with a key only clients may ask for."""
    if not serving.command:
        return {"httpGet": {"path": "/health", "port": "http"}}
    if serving.api_key_secret_ref is None:
        return {"httpGet": {"path": "/v1/models", "port": "http"}}
    return {"tcpSocket": {"port": "http"}}
