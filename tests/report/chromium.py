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
    address: str = ""
    """Of the file that it shows."""

    def show(self, file: Path, fragment: str = "") -> None:
        """Open the file anew, until all its texts are unpacked; `fragment` is the address behind `#`."""
        # An address that differs behind `#` alone opens nothing, and where the mouse was left it would point at once.
        self.page.goto("about:blank")
        self.page.mouse.move(0, 0)
        self.address = file.absolute().as_uri()
        self.page.goto(f"{self.address}#{fragment}" if fragment else self.address)
        reading = self.page.locator("#found")
        if reading.is_visible():
            expect(reading).to_contain_text(" ")
            expect(reading).not_to_contain_text("reading more", timeout=120_000)


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
def window(
    browser: Browser, width: int = 1280, height: int = 900, *, dark: bool = False, **context: Any
) -> Iterator[Opened]:
    """An empty window of that size. It can show one file after another, each at half of what another window costs."""
    made = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **context
    )
    try:
        found = Opened(made.new_page())
        listen(found)
        yield found
    finally:
        made.close()


@contextmanager
def opened(
    browser: Browser, file: Path, width: int = 1280, height: int = 900, *, dark: bool = False, **context: Any
) -> Iterator[Opened]:
    """The file in a window of that size."""
    with window(browser, width, height, dark=dark, **context) as found:
        found.show(file)
        yield found


def listen(found: Opened) -> None:
    """Note what a page that only shows a file never does."""

    def complained(text: str) -> None:
        found.errors.append(text)

    def requested(address: str) -> None:
        if address not in ("about:blank", found.address):
            complained(address)

    page = found.page
    page.on("console", lambda message: complained(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complained(str(error)))
    page.on("dialog", lambda dialog: (complained(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requested(request.url.partition("#")[0]))
