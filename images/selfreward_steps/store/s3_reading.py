"""The fast reading of one object: parts fetched in parallel, handed out in order.

In order, because the reader hashes in the same pass; a few parts ahead and no more, because a shard of a
model is larger than a pod's memory.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from botocore.exceptions import ClientError

from ..errors import PermanentError
from .checking import mismatch
from .interface import ProblemKind
from .manifest import FileEntry
from .s3_client import Bucket, is_missing
from .s3_errors import status_of


def object_chunks(bucket: Bucket, key: str, entry: FileEntry) -> Iterator[bytes]:
    """The object's bytes in order; Mismatch when it is missing or not of the manifest's size."""
    part = bucket.options.part_bytes
    if entry.size <= part:
        # No byte range can be asked of an empty object.
        yield _part(bucket, key, entry, (0, entry.size - 1) if entry.size else None)
        return
    starts = iter(range(0, entry.size, part))
    pool = ThreadPoolExecutor(bucket.options.parallel_parts, thread_name_prefix="s3-read")
    ahead: deque[Future[bytes]] = deque()

    def fetch_next() -> None:
        start = next(starts, None)
        if start is not None:
            end = min(start + part, entry.size) - 1
            ahead.append(pool.submit(_part, bucket, key, entry, (start, end)))

    try:
        for _ in range(bucket.options.parallel_parts):
            fetch_next()
        while ahead:
            content = ahead.popleft().result()
            fetch_next()
            yield content
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _part(bucket: Bucket, key: str, entry: FileEntry, span: tuple[int, int] | None) -> bytes:
    """One part, from the first byte to the last of `span`, or with no `span` the whole object."""
    try:
        content, total = bucket.read(key, span)
    except PermanentError as error:
        if is_missing(error):
            raise mismatch(entry, ProblemKind.MISSING, f"there is no object {key}") from error
        cause = error.__cause__
        if isinstance(cause, ClientError) and status_of(cause) == 416:
            raise mismatch(entry, ProblemKind.SIZE, "the object is shorter") from error
        raise
    if total != entry.size:
        raise mismatch(entry, ProblemKind.SIZE, f"{total} bytes, the manifest says {entry.size}")
    return content
