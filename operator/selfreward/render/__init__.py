"""Manifests of a run's workloads: plain dicts as `kubectl apply` takes them, built by pure functions.

Both clusters run what stands here; a second description of a step exists nowhere. This room does no I/O and
reads no clock: the same run, node and attempt always give the same manifest, byte for byte.
"""

from selfreward.render.access import has_own_key, key_secret, network_policy, serving_key
from selfreward.render.devices import device_claim
from selfreward.render.images import Images
from selfreward.render.kept import kept_manifests
from selfreward.render.metadata import SERVICE_PORT, Manifest, service_name, service_url
from selfreward.render.serving import model_service, serving_manifests
from selfreward.render.steps import step_manifest, training_manifests
from selfreward.render.storage import store_config

__all__ = [
    "SERVICE_PORT",
    "Images",
    "Manifest",
    "device_claim",
    "has_own_key",
    "kept_manifests",
    "key_secret",
    "model_service",
    "network_policy",
    "service_name",
    "service_url",
    "serving_key",
    "serving_manifests",
    "step_manifest",
    "store_config",
    "training_manifests",
]
