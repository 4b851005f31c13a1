"""The journal of a bucket store, which cannot append: group commit of numbered part objects.

While one part is being uploaded the next records gather, and go up as the next part the moment the first
is stored; so a restart loses at most what was appended during one upload. Attempts never share a key.
"""

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

from pydantic import JsonValue

from . import names
from .interface import Journal
from .journal_lines import LineParser, to_line
from .parallel import each
from .s3_client import MIB, Bucket

PART_BYTES = 8 * MIB
WAITING_BYTES = 64 * MIB
"""More than this waiting for the bucket makes `append` wait too, so that memory stays bounded."""
READ_AHEAD = 8


class S3Journal(Journal):
    """See `Journal`. `folder` is the key, without a last slash, under which attempts keep their parts."""

    def __init__(self, bucket: Bucket, folder: str, *, waiting_bytes: int = WAITING_BYTES) -> None:
        self._bucket = bucket
        self._folder = folder
        self._attempt = names.new_journal_attempt()
        self._waiting_bytes = waiting_bytes
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._parts = 0
        self._uploading = False
        self._upload: Future[None] | None = None
        self._closed = False
        self._parser = LineParser()

    def append(self, record: Mapping[str, JsonValue]) -> None:
        line = to_line(record)
        with self._lock:
            if self._closed:
                raise ValueError("append to a closed journal")
            self._lines.append(line)
            self._bytes += len(line)
            self._collect()
            self._start()
            behind = self._bytes > self._waiting_bytes
        if behind:
            self.flush()

    def records(self) -> Iterator[dict[str, JsonValue]]:
        self._parser = parser = LineParser()
        for content in self._contents():
            yield from parser.records(content.splitlines(keepends=True))

    @property
    def dropped(self) -> int:
        return self._parser.dropped

    def flush(self) -> None:
        while True:
            with self._lock:
                self._collect()
                self._start()
                upload = self._upload
            if upload is None:
                return
            wait([upload])

    def close(self) -> None:
        if not self._closed:
            try:
                self.flush()
            finally:
                self._stop()

    def discard(self) -> None:
        self._stop()
        name = self._folder.rpartition("/")[0]
        each(self._bucket.delete, self._bucket.keys(name + "/."), workers=READ_AHEAD)

    def _collect(self) -> None:
        """With the lock held: take note of an ended upload, and raise what it failed with."""
        if self._upload is not None and self._upload.done():
            ended, self._upload = self._upload, None
            error = ended.exception()
            if error is not None:
                self._uploading = False
                raise error

    def _start(self) -> None:
        """With the lock held: have what waits uploaded, unless an upload is running, which will take it."""
        if self._lines and not self._uploading:
            if self._closed:
                raise ValueError("the journal was closed before these records could be stored")
            self._uploading = True
            self._upload = self._pool.submit(self._upload_all)

    def _upload_all(self) -> None:
        while batch := self._next_batch():
            # The number moves on only once the part is stored: a part tried again may only have grown.
            self._bucket.put(f"{self._folder}/{self._attempt}/{self._parts:08d}.jsonl", b"".join(batch))
            self._parts += 1
            with self._lock:
                for line in batch:
                    self._lines.popleft()
                    self._bytes -= len(line)

    def _next_batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        with self._lock:
            for line in self._lines:
                if batch and size + len(line) > PART_BYTES:
                    break
                batch.append(line)
                size += len(line)
            if not batch:
                # Under the lock, so that an append after this sees it and starts the next upload.
                self._uploading = False
        return batch

    def _contents(self) -> Iterator[bytes]:
        """Every stored part, oldest attempt first, a few read ahead."""
        keys = self._bucket.keys(self._folder + "/")
        ahead: deque[Future[bytes | None]] = deque()
        with ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="journal-read") as pool:
            for key in keys:
                ahead.append(pool.submit(self._bucket.get, key))
                if len(ahead) >= READ_AHEAD:
                    yield ahead.popleft().result() or b""
            while ahead:
                yield ahead.popleft().result() or b""

    def _stop(self) -> None:
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
