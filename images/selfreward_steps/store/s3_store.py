"""A store in a bucket of any S3-compatible server that has conditional puts.

A bucket cannot rename, so every attempt at a commit uploads under its own `data-<attempt>/` and the
manifest, put only if there is none, says whose data the artifact is. A loser never touches a winner's
objects; what a killed attempt leaves is invisible to readers and goes with `delete`.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from ..errors import InfrastructureError, PermanentError, StepError
from . import names
from .base import VerifyingStore, prepare
from .interface import Journal, StoreReason
from .manifest import FileEntry, Manifest
from .parallel import each
from .s3_client import Bucket
from .s3_journal import S3Journal
from .s3_reading import object_chunks

log = logging.getLogger(__name__)

PROBE = ".put-if-absent"
DELETES_AT_A_TIME = 16


class S3Store(VerifyingStore):
    """The `s3://` store; see `Store` for what each method promises. `prefix` has no outer slashes."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self.workers = bucket.options.parallel_files
        self.uri = bucket.uri(prefix).rstrip("/")
        self._bucket = bucket
        self._root = prefix + "/" if prefix else ""
        self._conditional = False

    def commit(
        self,
        artifact: str,
        folder: Path,
        *,
        inputs_digest: str,
        step: str,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Manifest:
        files = prepare(artifact, folder, inputs_digest, step, metadata or {})
        if (existing := self._already(artifact, inputs_digest)) is not None:
            return existing
        self._refuse_nesting(artifact)
        self._require_conditional_puts()
        data = names.data_folder(names.new_attempt())
        manifest = Manifest.of(
            artifact,
            self._upload(artifact, data, files),
            inputs_digest=inputs_digest,
            step=step,
            metadata=metadata or {},
            data=data,
        )
        if self._bucket.put_if_absent(self._key(artifact, names.MANIFEST), manifest.to_json()):
            return manifest
        return self._lost(manifest)

    def local_folder(self, artifact: str, scratch: Path, *, only: Sequence[str] | None = None) -> Path:
        folder = scratch / names.check_artifact(artifact)
        self.fetch(artifact, folder, only=only)
        return folder

    def artifacts(self, prefix: str = "") -> list[str]:
        found = set()
        names.check_prefix(prefix)
        for name in self._names(prefix):
            artifact, _, last = name.rpartition("/")
            if last == names.MANIFEST and _outside_data(artifact):
                found.add(artifact)
        return sorted(found)

    def journal(self, name: str, *, inputs_digest: str) -> Journal:
        return S3Journal(self._bucket, self._root + names.journal_folder(name, inputs_digest))

    def delete(self, prefix: str) -> None:
        names.check_prefix(prefix)
        ours = [name for name in self._names(prefix) if _is_ours(name)]
        # Manifests first, so that what is half deleted is already not committed.
        manifests = [name for name in ours if name.endswith("/" + names.MANIFEST)]
        rest = sorted(set(ours) - set(manifests))
        rest += self._names("/".join(filter(None, [names.JOURNALS, prefix])))
        for group in (manifests, rest):
            each(lambda name: self._bucket.delete(self._root + name), group, workers=DELETES_AT_A_TIME)
        self._abort_uploads(prefix)

    def _manifest_bytes(self, artifact: str) -> bytes | None:
        return self._bucket.get(self._key(artifact, names.MANIFEST), names.MAX_MANIFEST + 1)

    def _chunks(self, manifest: Manifest, entry: FileEntry) -> Iterator[bytes]:
        key = self._key(manifest.artifact, manifest.data, entry.name)
        return object_chunks(self._bucket, key, entry)

    def _stored_names(self, manifest: Manifest) -> list[str]:
        folder = self._key(manifest.artifact, manifest.data) + "/"
        return [key.removeprefix(folder) for key in self._bucket.keys(folder)]

    def _key(self, *parts: str) -> str:
        return self._root + "/".join(filter(None, parts))

    def _names(self, prefix: str) -> Iterator[str]:
        """Keys, without the root, that lie under `prefix`."""
        for key in self._bucket.keys(self._root + (prefix + "/" if prefix else "")):
            yield key.removeprefix(self._root)

    def _upload(self, artifact: str, data: str, files: Sequence[tuple[str, Path]]) -> list[FileEntry]:
        def one(file: tuple[str, Path]) -> FileEntry:
            name, path = file
            return self._bucket.upload(self._key(artifact, data, name), path, name)

        return each(one, files, workers=self.workers)

    def _lost(self, ours: Manifest) -> Manifest:
        """There is a manifest already: our own, if only the answer was lost, or another attempt's."""
        try:
            winner = self._already(ours.artifact, ours.inputs_digest)
        except PermanentError as error:
            if error.reason == StoreReason.CONFLICT:
                self._remove_data(ours)
            raise
        if winner is None:
            raise InfrastructureError(
                StoreReason.UNAVAILABLE, f"{self.address(ours.artifact)} was deleted while it was committed"
            )
        if winner.data != ours.data:
            self._remove_data(ours)
        return winner

    def _remove_data(self, ours: Manifest) -> None:
        try:
            for entry in ours.files:
                self._bucket.delete(self._key(ours.artifact, ours.data, entry.name))
        except StepError as error:
            # Harmless: no manifest names these objects. The outcome of the commit must not depend on it.
            log.warning("left %s/%s behind: %s", self.address(ours.artifact), ours.data, error)

    def _require_conditional_puts(self) -> None:
        """Refuse a server that ignores If-None-Match: on it two attempts could both believe they won."""
        if self._conditional:
            return
        key = self._root + PROBE
        if self._bucket.put_if_absent(key, b"") and self._bucket.put_if_absent(key, b""):
            raise PermanentError(
                StoreReason.MISCONFIGURED,
                f"{self.uri}: the server ignores If-None-Match on put: use one with conditional writes",
            )
        self._conditional = True

    def _abort_uploads(self, prefix: str) -> None:
        try:
            self._bucket.abort_uploads(self._root + (prefix + "/" if prefix else ""))
        except PermanentError as error:
            # Not every server or policy lets uploads be listed; a bucket's lifecycle rule ends them too.
            log.warning("unfinished uploads under %s/%s were not looked for: %s", self.uri, prefix, error)


def _outside_data(artifact: str) -> bool:
    """Whether a path is an artifact's own, and not a file called manifest.json inside one's data."""
    segments = artifact.split("/")
    return bool(artifact) and not any(names.is_data_folder(segment) for segment in segments)


def _is_ours(name: str) -> bool:
    """Whether a store wrote this key, rather than someone who keeps other things in the same place."""
    above = name.split("/")[:-1]
    return (
        name == PROBE
        or (bool(above) and name.endswith("/" + names.MANIFEST))
        or any(names.is_data_folder(segment) for segment in above)
    )
