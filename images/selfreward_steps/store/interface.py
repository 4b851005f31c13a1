"""The interface of every artifact store, whatever it keeps its bytes in, and what it promises.

Steps and the operator are written against this module and never against a folder or a bucket. It must not
import boto3, torch or anything else that is slow: the operator and the judging pods load it at start.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from pydantic import JsonValue

from .manifest import Manifest


class StoreReason(StrEnum):
    """Why a store refused or failed: the `reason` of the PermanentError or InfrastructureError it raises."""

    UNAVAILABLE = "StoreUnavailable"
    """Infrastructure: 5xx, throttling, timeouts, broken connections, an I/O error of the volume."""
    ACCESS_DENIED = "StoreAccessDenied"
    BUCKET_NOT_FOUND = "BucketNotFound"
    MISCONFIGURED = "StoreMisconfigured"
    """A malformed URI, a wrong region, a server without put-if-absent, a request the server rejects."""
    DISK_FULL = "DiskFull"
    CONFLICT = "ArtifactConflict"
    """The name is committed with other inputs; nothing committed is ever overwritten."""
    NOT_COMMITTED = "ArtifactNotCommitted"
    CORRUPT = "ArtifactCorrupt"
    """Stored bytes, read again, still differ from the manifest."""
    TARGET_OCCUPIED = "FetchTargetOccupied"


class ProblemKind(StrEnum):
    MISSING = "missing"
    SIZE = "size"
    CONTENT = "content"
    UNEXPECTED = "unexpected"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Problem:
    """One way in which an artifact differs from its manifest; `name` is the file's, or `manifest.json`."""

    name: str
    kind: ProblemKind
    detail: str


class Journal(ABC):
    """An append log of finished requests, so that a restarted step redoes only those in flight.

    Records of earlier attempts with the same name and inputs digest come back from `records()`; an attempt
    never touches another's. Not an artifact: it is discarded once the step's output is committed. Safe to
    use from several threads. As a context manager it closes at the end, keeping its records.
    """

    @abstractmethod
    def append(self, record: Mapping[str, JsonValue]) -> None:
        """Add one record. Returns at once unless the store lags far behind, in which case it waits.

        Raises InfrastructureError when an earlier record could not be stored; it is tried again on the
        next append, flush or close.
        """

    @abstractmethod
    def records(self) -> Iterator[dict[str, JsonValue]]:
        """Every record stored so far, oldest attempt first, without holding them all in memory.

        A torn or unreadable line (a process killed while writing) is dropped and counted in `dropped`:
        its request is simply made again. A record may come twice if two attempts made it: key them.
        """

    @property
    @abstractmethod
    def dropped(self) -> int:
        """How many unreadable lines the latest `records()` passed over."""

    @abstractmethod
    def flush(self) -> None:
        """Return once every appended record would survive the loss of this machine's process or pod."""

    @abstractmethod
    def close(self) -> None:
        """Flush, then stop; the records stay for the next attempt. Closing twice is harmless."""

    @abstractmethod
    def discard(self) -> None:
        """Stop, and remove the records of this and every earlier attempt. Call it after the commit."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Store(ABC):
    """Artifacts: folders of files that appear all at once, verified, and never change again.

    `artifact` is a relative slash path such as `m1` or `iteration-1/responses/shard-00003`. An artifact
    holds files, never another artifact. All methods may raise PermanentError or InfrastructureError with
    a `StoreReason`; they are blocking (from asyncio: `asyncio.to_thread`) and safe to call from threads.
    """

    uri: str
    """The store's own address, without a trailing slash."""

    @abstractmethod
    def address(self, artifact: str) -> str:
        """The artifact's URI, for messages and for status."""

    @abstractmethod
    def read_manifest(self, artifact: str) -> Manifest | None:
        """The manifest, or None while the artifact is not committed. Does not look at the files."""

    @abstractmethod
    def commit(
        self,
        artifact: str,
        folder: Path,
        *,
        inputs_digest: str,
        step: str,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Manifest:
        """Store every file under `folder`, then publish the manifest if none is there.

        Idempotent: where a manifest with the same `inputs_digest` exists it is returned and `folder` is
        ignored, also to the loser of a race. A crash at any moment leaves no artifact or a whole one.
        Raises PermanentError ArtifactConflict when the name is taken by other inputs, DiskFull when the
        volume is full, ValueError when `folder` is missing or holds something that is not a file.
        """

    @abstractmethod
    def fetch(self, artifact: str, folder: Path, *, only: Sequence[str] | None = None) -> Manifest:
        """Place the artifact's files in `folder`, verified, all at once; `manifest.json` comes along.

        `only` are shell patterns on file names (`*.safetensors`). Files that an earlier fetch placed and
        that still verify are kept. Raises PermanentError ArtifactNotCommitted, ArtifactCorrupt, DiskFull,
        or FetchTargetOccupied when `folder` holds anything that is not an earlier fetch of the artifact.
        """

    @abstractmethod
    def local_folder(self, artifact: str, scratch: Path, *, only: Sequence[str] | None = None) -> Path:
        """A folder on this machine with the verified files, to be read and never written.

        In a folder store it is the artifact itself, with nothing copied; otherwise it is fetched to
        `scratch/<artifact>`. What `from_pretrained` and `load_dataset` are to be pointed at.
        """

    @abstractmethod
    def open(self, artifact: str, name: str) -> BinaryIO:
        """Stream one file; ArtifactCorrupt is raised at its end when the bytes were not the manifest's."""

    @abstractmethod
    def verify(self, artifact: str) -> list[Problem]:
        """Read every stored byte and say what differs from the manifest; empty when all is well."""

    @abstractmethod
    def artifacts(self, prefix: str = "") -> list[str]:
        """The names of the committed artifacts that are, or lie under, `prefix`, sorted."""

    @abstractmethod
    def journal(self, name: str, *, inputs_digest: str) -> Journal:
        """The journal of one step or shard. Records made under another `inputs_digest` are not seen."""

    @abstractmethod
    def delete(self, prefix: str) -> None:
        """Remove artifacts and journals that are, or lie under, `prefix`; `""` means all of them.

        For ttl and deletionPolicy, and for checkpoints after a commit. Removes only what a store wrote:
        foreign files next to it stay. Deleting what is not there is no error.
        """
