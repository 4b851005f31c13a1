"""Probes of a server, as the kubelet would send them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """A probe of one local port: an HTTP request, or a connection alone."""

    port: int
    path: str | None
    """None: it is enough that the port takes connections."""
    timeout: float

    @classmethod
    def of(cls, probe: Mapping[str, Any], port: int) -> Check:
        """From a manifest's probe; the port is the local one."""
        path = probe["httpGet"]["path"] if "httpGet" in probe else None
        return cls(port=port, path=path, timeout=float(probe.get("timeoutSeconds", 1)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path or ''}"


async def answers(check: Check) -> bool:
    """Whether the probe succeeds: a status from 200 to 399, as for the kubelet."""
    writer = None
    try:
        async with asyncio.timeout(check.timeout):
            reader, writer = await asyncio.open_connection("127.0.0.1", check.port)
            if check.path is None:
                return True
            writer.write(f"GET {check.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            words = (await reader.readline()).split()
            return len(words) > 1 and words[1].isdigit() and 200 <= int(words[1]) < 400
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        if writer is not None:
            writer.close()
