"""A headless Chromium, spoken to through its debugging port: enough to measure and photograph a page."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

_READY = (
    "document.readyState === 'complete' && (performance.getEntriesByName('all-prompts').length > 0"
    " || !document.querySelector('script.piece, #prompts'))"
)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0
        self.errors: list[str] = []
        """What the page's console complained of: a violated policy, an exception."""

    async def call(self, method: str, **arguments: Any) -> Any:
        """One command of the DevTools protocol; events that come before its answer are looked at for errors."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": arguments})
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == self._calls:
                return answer["result"]
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(str(answer["params"]))

    async def evaluate(self, expression: str) -> Any:
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    async def open(self, url: str, width: int, height: int, *, dark: bool = False, timeout: float = 120) -> None:
        """Return once the page has unpacked everything."""
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(timeout):
            while not await self.evaluate(_READY):
                await asyncio.sleep(0.05)

    async def photograph(self) -> bytes:
        """What is on the screen, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """A fresh browser with one tab; nothing of it stays. Raises FileNotFoundError without `chromium` on the PATH."""
    folder = tempfile.mkdtemp()
    arguments = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0")
    process = await asyncio.create_subprocess_exec(
        "chromium", *arguments, f"--user-data-dir={folder}", "about:blank", stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        address = ""
        async for line in process.stderr:
            if found := re.search(r"DevTools listening on ws://([^/]+)", line.decode(errors="replace")):
                address = found[1]
                break
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json") as answer:
                tabs = await answer.json()
            socket = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with session.ws_connect(socket, max_msg_size=0) as connected:
                yield Page(connected)
    finally:
        process.kill()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)
