"""The answer to the kubelet's readiness probe: whether the engine does what was assigned to it."""

from __future__ import annotations

import asyncio


class Probe:
    """A few bytes of HTTP: 200 when the assignment is carried out, 503 while it is not.

    After each change at least one probe is answered with 503, however quick the change was: the pod then becomes ready
    anew, which watches tell of.
    """

    def __init__(self) -> None:
        self._is_done = False
        self._was_told = False

    def change(self) -> None:
        """The engine is not, or not yet, what was assigned."""
        if self._is_done:
            self._is_done = self._was_told = False

    def done(self) -> None:
        """The engine is what was assigned."""
        self._is_done = True

    @property
    def ready(self) -> bool:
        """The answer to the next probe."""
        return self._is_done and self._was_told

    async def serve(self, port: int) -> asyncio.Server:
        """Listen on every address: the kubelet comes from outside the pod."""
        return await asyncio.start_server(self._answer, None, port)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                await reader.readline()
                status = b"200 OK" if self.ready else b"503 Service Unavailable"
                self._was_told = True
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass
        finally:
            writer.close()
