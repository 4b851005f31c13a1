"""The pictures of docs/report.md, taken of a report's page in a real browser.

    .venv/bin/python benchmarks/report/screenshots.py runs/quickstart/report.html docs/images

Needs `chromium` (Debian's package).
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass
from pathlib import Path

from browser import chromium

_TO_CANDIDATES = "document.getElementById('candidates').scrollIntoView()"
_TO_EVIDENCE = "document.getElementById('evidence').scrollIntoView()"


@dataclass(frozen=True, slots=True)
class Picture:
    """What of the page, on which screen."""

    name: str
    width: int
    height: int
    dark: bool = False
    before: str = ""
    """Run in the page first."""


PICTURES = (
    Picture("report", 1280, 900),
    Picture("report-evidence-dark", 1280, 900, dark=True, before=_TO_EVIDENCE),
    Picture("report-candidates", 1280, 900, before=_TO_CANDIDATES),
    Picture("report-narrow", 390, 844),
    Picture("report-narrow-dark", 390, 844, dark=True, before=_TO_CANDIDATES),
)


async def taken(page: Path, folder: Path) -> None:
    for picture in PICTURES:
        async with chromium() as browser:
            await browser.open(page.as_uri(), picture.width, picture.height, dark=picture.dark)
            if picture.before:
                await browser.evaluate(picture.before)
                await asyncio.sleep(0.3)
            if browser.errors:
                raise SystemExit(f"the page complained: {browser.errors[0]}")
            target = folder / f"{picture.name}.png"
            target.write_bytes(await browser.photograph())
            print(f"{target}  {target.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    asyncio.run(taken(arguments.page.absolute(), arguments.folder))


if __name__ == "__main__":
    main()
