"""A headless Chromium, Debian's, driven by Playwright: for the tests of a page, and to measure and photograph one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

HOW: str = "the report's page is opened in Chromium, which is not here: apt install chromium"


@dataclass
class Opened:
    """One page in a window of its own, and what went wrong in it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    """What the console complained of: a violated policy, an exception; a dialogue that came up; whatever it fetched."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A fresh browser; nothing of it stays. Raises FileNotFoundError, which says how to get it."""
    if (program := shutil.which("chromium")) is None:
        raise FileNotFoundError(HOW)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser,
    file: Path,
    width: int = 1280,
    height: int = 900,
    *,
    dark: bool = False,
    fragment: str = "",
    **context: Any,
) -> Iterator[Opened]:
    """The file in a window of that size, once all its texts are unpacked; `fragment` is the address behind `#`."""
    window = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **context
    )
    try:
        found = Opened(window.new_page())
        address = file.absolute().as_uri()
        listen(found, address)
        found.page.goto(f"{address}#{fragment}" if fragment else address)
        if context.get("java_script_enabled", True) and found.page.locator("#found").count():
            expect(found.page.locator("#found")).to_contain_text(" ")
            expect(found.page.locator("#found")).not_to_contain_text("reading more", timeout=120_000)
        yield found
    finally:
        window.close()


def listen(found: Opened, address: str) -> None:
    """Note what a page that only shows a file never does."""

    def complained(text: str) -> None:
        found.errors.append(text)

    page = found.page
    page.on("console", lambda message: complained(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complained(str(error)))
    page.on("dialog", lambda dialog: (complained(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: complained(request.url) if request.url.partition("#")[0] != address else None)
