"""The devices that a run's server and its training share: one ResourceClaim made for the run, which both pods name.

Dynamic resource allocation: the claim is allocated when the first pod that names it is scheduled, later pods come to
the same node, and it is free again when none is left. A claim from a template would be each pod's own, and one that the
user makes might be named by two runs at once. This module must not decide who may use the devices when.
"""

from __future__ import annotations

from typing import Final

from selfreward.api import SelfRewardRun, SelfRewardRunSpec, Workload
from selfreward.plan import capped_name
from selfreward.render.metadata import COMPONENT, Manifest, object_metadata
from selfreward.render.pods import resources
from selfreward.render.resource import Resource

RESOURCE_CLAIMS: Final = Resource("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim")
_IN_POD: Final = "devices"
_BOTH: Final = "both"
_REST: Final = "rest"
"""Devices that only the one of the two names that uses more of them."""
_UID_LENGTH: Final = 8


def device_claim(run: SelfRewardRun) -> Manifest:
    """The run's claim; raises ValueError for a run without a device class."""
    name = run.spec.serving.device_class_name
    if name is None:
        raise ValueError(f"{run.metadata.name}: spec.serving.deviceClassName is not given")
    few, many = sorted(_wanted(run.spec))
    counts = {_BOTH: few} | ({_REST: many - few} if many > few else {})
    requests = [
        {"name": request, "exactly": {"deviceClassName": name, "allocationMode": "ExactCount", "count": count}}
        for request, count in counts.items()
    ]
    return {
        "apiVersion": RESOURCE_CLAIMS.api_version,
        "kind": RESOURCE_CLAIMS.kind,
        "metadata": object_metadata(run, _claim_name(run), {COMPONENT: "devices"}),
        "spec": {"devices": {"requests": requests}},
    }


def pod_claims(run: SelfRewardRun) -> list[Manifest]:
    """`resourceClaims` of a pod that uses the devices."""
    return [{"name": _IN_POD, "resourceClaimName": _claim_name(run)}]


def container_resources(spec: SelfRewardRunSpec, workload: Workload, wanted: int, *, shares: bool) -> Manifest:
    """What a container asks for that uses `wanted` devices: GPUs of its own, or with `shares` the claim's, all of them
    or those of one request."""
    if not shares:
        return resources(workload, gpus=wanted)
    claim = {"name": _IN_POD} | ({} if wanted == max(_wanted(spec)) else {"request": _BOTH})
    return {**resources(workload), "claims": [claim]}


def _wanted(spec: SelfRewardRunSpec) -> tuple[int, int]:
    return spec.serving.tensor_parallel, spec.training.processes_per_node


def _claim_name(run: SelfRewardRun) -> str:
    """With the uid in it: an earlier run of the same name may still be going, and its claim with it."""
    return capped_name(f"{run.metadata.name}-devices-{run.metadata.uid[:_UID_LENGTH]}")
