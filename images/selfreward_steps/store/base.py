"""The base of both kinds of store: reading manifests, and never handing out unverified bytes.

A kind of store adds how bytes are read, listed and published; the rules of the contract that do not
depend on that are here, once.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from pydantic import JsonValue, ValidationError

from ..errors import PermanentError
from . import names
from .checking import Mismatch, checked, corrupt, reader
from .interface import Problem, ProblemKind, Store, StoreReason
from .manifest import FileEntry, Manifest
from .parallel import each
from .placing import place


class VerifyingStore(Store):
    """The half of a store that is the same for every kind."""

    workers: int = 4
    """How many files are read or written at a time."""

    @abstractmethod
    def _manifest_bytes(self, artifact: str) -> bytes | None:
        """The raw manifest, or None when there is none."""

    @abstractmethod
    def _chunks(self, manifest: Manifest, entry: FileEntry) -> Iterator[bytes]:
        """The stored bytes of one file; raises Mismatch (kind missing) when there are none."""

    @abstractmethod
    def _stored_names(self, manifest: Manifest) -> list[str]:
        """Every file that lies where the artifact's files lie, without the manifest."""

    def address(self, artifact: str) -> str:
        return f"{self.uri}/{names.check_artifact(artifact)}"

    def read_manifest(self, artifact: str) -> Manifest | None:
        names.check_artifact(artifact)
        raw = self._manifest_bytes(artifact)
        if raw is None:
            return None
        if len(raw) > names.MAX_MANIFEST:
            too_long = ValueError(f"it has more than {names.MAX_MANIFEST} bytes")
            raise corrupt(self.address(artifact), _unreadable(too_long))
        try:
            manifest = Manifest.from_json(raw)
        except ValueError as error:
            raise corrupt(self.address(artifact), _unreadable(error)) from error
        if manifest.artifact != artifact:
            problem = _unreadable(ValueError(f"it is of artifact {manifest.artifact}"))
            raise corrupt(self.address(artifact), problem)
        return manifest

    def fetch(self, artifact: str, folder: Path, *, only: Sequence[str] | None = None) -> Manifest:
        manifest = self._committed(artifact)
        place(
            manifest,
            folder,
            only,
            lambda entry: self._chunks(manifest, entry),
            self.address(artifact),
            self.workers,
        )
        return manifest

    def open(self, artifact: str, name: str) -> BinaryIO:
        manifest = self._committed(artifact)
        entry = manifest.file(name)
        return reader(self._chunks(manifest, entry), entry, self.address(artifact))

    def verify(self, artifact: str) -> list[Problem]:
        try:
            manifest = self.read_manifest(artifact)
        except PermanentError as error:
            if error.reason != StoreReason.CORRUPT:
                raise
            return [Problem(names.MANIFEST, ProblemKind.UNREADABLE, str(error))]
        if manifest is None:
            return [Problem(names.MANIFEST, ProblemKind.MISSING, "the artifact is not committed")]
        found = each(lambda entry: self._problem(manifest, entry), manifest.files, workers=self.workers)
        known = {entry.name for entry in manifest.files}
        extra = sorted(set(self._stored_names(manifest)) - known)
        return [problem for problem in found if problem is not None] + [
            Problem(name, ProblemKind.UNEXPECTED, "not in the manifest") for name in extra
        ]

    def _problem(self, manifest: Manifest, entry: FileEntry) -> Problem | None:
        try:
            for _ in checked(self._chunks(manifest, entry), entry):
                pass
        except Mismatch as error:
            return error.problem
        return None

    def _committed(self, artifact: str) -> Manifest:
        manifest = self.read_manifest(artifact)
        if manifest is None:
            raise PermanentError(
                StoreReason.NOT_COMMITTED, f"{self.address(artifact)} is not committed: run its step first"
            )
        return manifest

    def _already(self, artifact: str, inputs_digest: str) -> Manifest | None:
        """The committed manifest if it has the same inputs; ArtifactConflict if it has others."""
        manifest = self.read_manifest(artifact)
        if manifest is not None and manifest.inputs_digest != inputs_digest:
            raise self._conflict(artifact, f"from other inputs ({manifest.inputs_digest[:19]}…)")
        return manifest

    def _conflict(self, artifact: str, how: str) -> PermanentError:
        return PermanentError(
            StoreReason.CONFLICT,
            f"{self.address(artifact)} is already committed {how} and is never overwritten: "
            "use another run name or storage prefix",
        )

    def _refuse_nesting(self, artifact: str) -> None:
        for parent in names.parents(artifact):
            if self._manifest_bytes(parent) is not None:
                raise self._conflict(artifact, f"inside artifact {parent}")
        for below in self.artifacts(artifact):
            if below != artifact:
                raise self._conflict(artifact, f"around artifact {below}")


def prepare(
    artifact: str, folder: Path, inputs_digest: str, step: str, metadata: Mapping[str, JsonValue]
) -> list[tuple[str, Path]]:
    """Every file under `folder` as (name, path), sorted, after checking all that could fail the manifest.

    A commit that is going to be refused must be refused before hours of output are uploaded.
    """
    names.check_artifact(artifact)
    Manifest.of(artifact, (), inputs_digest=inputs_digest, step=step, metadata=metadata).to_json()
    if not folder.is_dir():
        raise ValueError(f"commit of {artifact}: {folder} is not a folder")
    found: list[tuple[str, Path]] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.append((names.check_file(path.relative_to(folder).as_posix()), path))
        elif path.is_symlink() or not path.is_dir():
            # rglob does not follow a linked folder: passing over it would lose files without a word.
            raise ValueError(f"commit of {artifact}: {path} is neither a file nor a folder")
    return found


def _unreadable(error: ValueError) -> Problem:
    return Problem(names.MANIFEST, ProblemKind.UNREADABLE, _without_content(error)[:300])


def _without_content(error: ValueError) -> str:
    """What is wrong, and none of what was read: whoever named the store would see what he could not read himself."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['type']}"
