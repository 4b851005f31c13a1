"""The pictures of docs/report.md, taken of a report's page in a real browser.

    PYTHONPATH=tests .venv/bin/python benchmarks/report/screenshots.py runs/quickstart/report.html docs/images

Needs `chromium` (Debian's package).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from report.chromium import chromium, opened


@dataclass(frozen=True, slots=True)
class Picture:
    """What of the page, on which screen."""

    name: str
    width: int
    height: int
    dark: bool = False
    part: str = ""
    """Id of the section that it begins with; empty for the head."""
    kind: str = ""
    """The texts that are chosen; empty for candidates."""


PICTURES = (
    Picture("report", 1280, 900),
    Picture("report-evidence-dark", 1280, 900, dark=True, part="steps"),
    Picture("report-candidates", 1280, 900, part="texts"),
    Picture("report-mistakes", 1280, 900, part="texts", kind="Judge's mistakes"),
    Picture("report-narrow", 390, 844),
    Picture("report-narrow-dark", 390, 844, dark=True, part="texts"),
)


def taken(page: Path, folder: Path) -> None:
    """Write all pictures; raises SystemExit when the page complains of something."""
    with chromium() as browser:
        for picture in PICTURES:
            with opened(browser, page, picture.width, picture.height, dark=picture.dark) as seen:
                if picture.kind:
                    seen.page.get_by_role("button", name=picture.kind, exact=True).click()
                if picture.part:
                    seen.page.evaluate(f"document.getElementById('{picture.part}').scrollIntoView()")
                target = folder / f"{picture.name}.png"
                seen.page.screenshot(path=target)
                if seen.errors:
                    raise SystemExit(f"the page complained: {seen.errors[0]}")
                print(f"{target}  {target.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    taken(arguments.page, arguments.folder)


if __name__ == "__main__":
    main()
