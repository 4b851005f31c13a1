"""Children from manifests: the part of the kubelet and of the training operator, on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from selfreward_steps.contract import (
    HOST_VARIABLE,
    MODEL_DIR_VARIABLE,
    PORT_VARIABLE,
    SCRATCH_VARIABLE,
    SHARD_VARIABLE,
    artifact_names,
)
from selfreward_steps.store.hashed import VARIABLE as HASHED_VARIABLE

from selfreward.cluster.local.child import Identity
from selfreward.cluster.local.environment import Machine, container_command, container_environment
from selfreward.cluster.local.pod import Pod
from selfreward.cluster.local.ports import free_port
from selfreward.cluster.local.process import Program
from selfreward.cluster.local.served import Served
from selfreward.cluster.local.warming import Warm
from selfreward.cluster.local.work import Work
from selfreward.render.training import PYTORCHJOB

LOOPBACK: Final = "127.0.0.1"
Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one child runs: its folders, its variables, and the addresses of the servers."""

    folder: Path
    """The child's own folder, with its logs, records, results and models."""
    scratch: Path
    """Shared by the run's children, as one machine's disk is."""
    mark: str
    home: Mapping[str, str]
    """HOME and USER of this machine's user, for those of the image."""
    services: Mapping[str, int]
    secrets: Mapping[tuple[str, str], str]
    warm: Warm | None = None

    def machine(self, **variables: str) -> Machine:
        """This machine, with variables of one pod."""
        own = {SCRATCH_VARIABLE: str(self.scratch), HASHED_VARIABLE: str(self.scratch / "hashed")}
        return Machine({**self.home, **own, **variables}, self.services, self.secrets)

    def pod(self, name: str, container: Manifest, machine: Machine) -> Pod:
        environment = container_environment(container, machine)
        program = Program(name, container_command(container, environment), environment)
        return Pod(program, self.folder, self.mark, self.warm)


def work_of(identity: Identity, manifest: Manifest, place: Place) -> Work:
    """The processes of a Job, an Indexed Job or a PyTorchJob.

    Raises MissingSecret, and ValueError for a kind that does not end.
    """
    match manifest["kind"]:
        case "Job":
            return _job(identity, manifest["spec"], place)
        case PYTORCHJOB.resource.kind:
            return _pytorch_job(identity, manifest["spec"], place)
        case kind:
            raise ValueError(f"{identity.name}: {kind} is not work")


def served_of(identity: Identity, deployment: Manifest, place: Place, port: int) -> Served:
    """The processes of a Deployment whose server listens on `port`; raises MissingSecret."""
    spec = _pod_spec(deployment["spec"]["template"])
    (server,) = spec["containers"]
    machine = place.machine(
        **{
            HOST_VARIABLE: LOOPBACK,
            PORT_VARIABLE: str(port),
            MODEL_DIR_VARIABLE: str(place.folder / "models" / identity.model),
        }
    )
    init = [place.pod(container["name"], container, machine) for container in spec.get("initContainers", [])]
    pod = place.pod(server["name"], server, machine)
    return Served(identity, init, pod, server, port, _grace(spec))


def fetch_of(model: str, deployment: Manifest, place: Place) -> Pod:
    """The process that brings another model to a kept server, as the init container of that model's Deployment would;
    raises MissingSecret."""
    (container,) = _pod_spec(deployment["spec"]["template"])["initContainers"]
    machine = place.machine(**{MODEL_DIR_VARIABLE: str(place.folder / "models" / model)})
    return place.pod(f"{container['name']}-{model}", container, machine)


def _job(identity: Identity, spec: Manifest, place: Place) -> Work:
    pod_spec = _pod_spec(spec["template"])
    (container,) = pod_spec["containers"]
    indexed = spec.get("completionMode") == "Indexed"
    count = spec.get("completions", 1)
    pods = [
        place.pod(
            artifact_names.shard_name(index) if indexed else container["name"],
            container,
            place.machine(**({SHARD_VARIABLE: str(index)} if indexed else {})),
        )
        for index in range(count)
    ]
    rules = spec.get("podFailurePolicy", {}).get("rules", [])
    codes = [code for rule in rules if rule["action"] == "FailJob" for code in rule["onExitCodes"]["values"]]
    return Work(identity, pods, parallelism=spec.get("parallelism", 1), grace=_grace(pod_spec), fail_all_on=codes)


def _pytorch_job(identity: Identity, spec: Manifest, place: Place) -> Work:
    """The processes of a PyTorchJob, with what training-operator v1.9.4 sets in its pods (pytorch/envvar.go there)."""
    ((role, replicas),) = spec["pytorchReplicaSpecs"].items()
    pod_spec = _pod_spec(replicas["template"])
    (container,) = pod_spec["containers"]
    count, processes, port = replicas["replicas"], spec["nprocPerNode"], str(free_port())
    shared = {
        "PET_NPROC_PER_NODE": processes,
        # The agent would look up this host's name, which need not resolve.
        "PET_LOCAL_ADDR": LOOPBACK,
    }
    if role == "Master":
        shared |= {
            "MASTER_ADDR": LOOPBACK,
            "MASTER_PORT": port,
            "PET_MASTER_ADDR": LOOPBACK,
            "PET_MASTER_PORT": port,
            "PET_NNODES": str(count),
            "WORLD_SIZE": str(count * int(processes)),
            "RANK": "0",
            "PET_NODE_RANK": "0",
        }
    else:
        elastic = spec["elasticPolicy"]
        shared |= {
            "PET_NNODES": f"{elastic['minReplicas']}:{elastic['maxReplicas']}",
            "PET_RDZV_BACKEND": elastic["rdzvBackend"],
            "PET_RDZV_ENDPOINT": f"{LOOPBACK}:{port}",
            "PET_RDZV_ID": identity.name,
            "PET_MAX_RESTARTS": str(elastic["maxRestarts"]),
        }
    pods = [place.pod(f"{role.lower()}-{index}", container, place.machine(**shared)) for index in range(count)]
    return Work(identity, pods, parallelism=count, grace=_grace(pod_spec), stop_all_on_failure=True)


def _pod_spec(template: Manifest) -> Manifest:
    spec: Manifest = template["spec"]
    return spec


def _grace(pod_spec: Manifest) -> float:
    return float(pod_spec.get("terminationGracePeriodSeconds", 30))
