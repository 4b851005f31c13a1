"""Storage of runs as the operator's owner sees it: what a run leaves out, and where the operator goes with its rights.

A run names its own storage. The operator reads and deletes there with credentials of its own, so it goes to no server
that its owner has not named: an S3 request carries a signature, and a session token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from selfreward.api import ObjectMeta, Storage

ANY = "*"


@dataclass(frozen=True, slots=True)
class StoragePolicy:
    """The default storage, and the places that runs may name."""

    uri: str | None = None
    """Of runs that name none."""
    endpoint_url: str | None = None
    """S3 endpoint of runs that take the default URI and name no endpoint."""
    region: str | None = None
    """S3 region of the same."""
    endpoints: tuple[str, ...] = ()
    """More S3 endpoints that runs may name; :data:`ANY` is every one. AWS itself needs no mention."""
    allowed: tuple[str, ...] = ()
    """Prefixes that `spec.storage.uri` must begin with, beside the default: `s3://BUCKET/PREFIX`, or
    `NAMESPACE=s3://BUCKET/PREFIX` for the runs of one namespace. With none, runs may name any."""

    def completed(self, storage: Storage, begun_with: str | None) -> Storage:
        """The storage with what it leaves out; a run that has begun keeps the URI that it began with."""
        if storage.uri is not None:
            return storage
        uri = begun_with or self.uri
        found = {"uri": uri}
        if uri is not None and uri.startswith("s3://") and uri == self.uri:
            found["endpoint_url"] = storage.endpoint_url or self.endpoint_url
            found["region"] = storage.region or self.region
        return storage.model_copy(update=found)

    def problems(self, storage: Storage, metadata: ObjectMeta) -> Iterator[str]:
        """What is wrong with a completed storage, a line each that names the field."""
        if storage.uri is None:
            yield "spec.storage.uri: is required: this operator has no default storage"
            return
        yield from _mixed(storage)
        if storage.endpoint_url is not None and not self._goes_to(storage.endpoint_url):
            yield (
                f"spec.storage.endpointUrl: {storage.endpoint_url}: this operator sends its credentials to no server "
                "that its owner has not named: have it added to --storage-endpoints (the chart's storage.endpoints)"
            )
        if not self._allows(storage.uri, metadata.namespace):
            yield (
                f"spec.storage.uri: {storage.uri}: not among the prefixes that runs of namespace {metadata.namespace} "
                "may use: leave it out, or have it added to --storage-allowed (the chart's storage.allowed)"
            )

    def _goes_to(self, endpoint: str) -> bool:
        known = {url.rstrip("/") for url in (self.endpoint_url or "", *self.endpoints)}
        return ANY in known or endpoint.rstrip("/") in known

    def _allows(self, uri: str, namespace: str) -> bool:
        if not self.allowed or uri == self.uri:
            return True
        prefixes = [entry.removeprefix(f"{namespace}=").rstrip("/") for entry in self.allowed]
        return any(uri == prefix or uri.startswith(f"{prefix}/") for prefix in prefixes)


def _mixed(storage: Storage) -> Iterator[str]:
    """Fields of one kind of storage beside a URI of the other, where the URI is the operator's default."""
    uri = storage.uri or ""
    if storage.claim_name is not None and not uri.startswith("file://"):
        yield f"spec.storage.claimName: only a file:// URI lies on a volume, and storage is at {uri}"
    for name, value in (("endpointUrl", storage.endpoint_url), ("secret", storage.secret)):
        if value is not None and not uri.startswith("s3://"):
            yield f"spec.storage.{name}: only an s3:// URI takes one, and storage is at {uri}"
