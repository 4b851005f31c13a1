"""Bytes on their way, checked against the manifest as they pass.

Every read of an artifact goes through here, so that no step ever works on bytes other than those that
were committed. It knows nothing about where the bytes come from.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol, cast

from typing_extensions import Buffer

from ..errors import PermanentError
from .interface import Problem, ProblemKind, StoreReason
from .manifest import FileEntry

CHUNK = 1 << 20


class Mismatch(Exception):
    """The stored file is not the one in the manifest. Internal: callers see a Problem or a PermanentError."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


def mismatch(entry: FileEntry, kind: ProblemKind, detail: str) -> Mismatch:
    return Mismatch(Problem(entry.name, kind, detail))


def corrupt(address: str, problem: Problem) -> PermanentError:
    return PermanentError(
        StoreReason.CORRUPT,
        f"{address}: {problem.name}: {problem.kind.value}: {problem.detail}: "
        "delete that artifact so that its step makes it again",
    )


def checked(chunks: Iterable[bytes], entry: FileEntry) -> Iterator[bytes]:
    """Pass `chunks` through; raise Mismatch at their end, or as soon as they are too many."""
    sha, size = hashlib.sha256(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > entry.size:
            raise mismatch(entry, ProblemKind.SIZE, f"more than the {entry.size} bytes of the manifest")
        sha.update(chunk)
        yield chunk
    if size != entry.size:
        raise mismatch(entry, ProblemKind.SIZE, f"{size} bytes, the manifest says {entry.size}")
    if sha.hexdigest() != entry.sha256:
        detail = f"sha256 {sha.hexdigest()}, the manifest says {entry.sha256}"
        raise mismatch(entry, ProblemKind.CONTENT, detail)


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class HashingReader:
    """Hashes and counts what is read through it, so that a copy and its digest take one pass.

    Deliberately not seekable: an uploader that could seek would read parts out of order or twice.
    """

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._sha = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._source.read(size)
        self._sha.update(chunk)
        self.size += len(chunk)
        return chunk

    def seekable(self) -> bool:
        return False

    def entry(self, name: str) -> FileEntry:
        """The manifest entry of what has been read so far."""
        return FileEntry(name=name, size=self.size, sha256=self._sha.hexdigest())


class _ChunkReader(io.RawIOBase):
    """A file object over checked chunks; the error is raised where a plain file would say end of file."""

    def __init__(self, chunks: Iterator[bytes], address: str) -> None:
        self._chunks = chunks
        self._address = address
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        try:
            while not self._rest:
                self._rest = memoryview(next(self._chunks))
        except StopIteration:
            return 0
        except Mismatch as error:
            raise corrupt(self._address, error.problem) from None
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        # A generator's close() frees its connection or file even when the reader stopped half-way.
        closing = getattr(self._chunks, "close", None)
        if closing is not None:
            closing()
        super().close()


def reader(chunks: Iterable[bytes], entry: FileEntry, address: str) -> BinaryIO:
    """A buffered, verifying file object over `chunks`."""
    return cast(BinaryIO, io.BufferedReader(_ChunkReader(checked(chunks, entry), address), CHUNK))
