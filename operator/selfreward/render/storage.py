"""Storage of a run's artifacts: where they lie, and what a pod needs to reach them."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from selfreward_steps.contract import StoreConfig
from selfreward_steps.store.names import run_root

from selfreward.api import ObjectMeta, SelfRewardRun, Storage
from selfreward.render.metadata import Manifest


def store_config(run: SelfRewardRun) -> StoreConfig:
    """The run's own folder, `URI/namespace=NAMESPACE/NAME`.

    Raises ValueError without `spec.storage.uri`: whoever walks the run fills in its default first, since
    a default chosen here would change under a running run.
    """
    return store_at(run.spec.storage, run.metadata)


def store_at(storage: Storage, metadata: ObjectMeta) -> StoreConfig:
    """The folder of the run with that metadata; raises ValueError without a URI, or for one within a run's folder."""
    if storage.uri is None:
        raise ValueError("spec.storage.uri is empty: it must be set before anything is rendered")
    return StoreConfig(
        uri=run_root(storage.uri, metadata.namespace, metadata.name),
        endpoint_url=storage.endpoint_url,
        region=storage.region,
    )


def storage_volumes(storage: Storage) -> tuple[list[Manifest], list[Manifest]]:
    """Volumes and mounts for a `file://` URI on a claim. The mount is at the URI's path, so that it means one thing
    in every pod."""
    if storage.claim_name is None or storage.uri is None:
        return [], []
    path = unquote(urlsplit(storage.uri).path)
    volume = {"name": "storage", "persistentVolumeClaim": {"claimName": storage.claim_name}}
    return [volume], [{"name": "storage", "mountPath": path}]


def storage_environment(storage: Storage) -> list[Manifest]:
    """`envFrom` with the S3 credentials; empty when the pods have an identity of their own."""
    return [] if storage.secret is None else [{"secretRef": {"name": storage.secret}}]
