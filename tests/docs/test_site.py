"""The site is built from the pages without a warning, in the order in which docs/README.md says that one reads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SECONDS = 60
"""What a build may take of a processor; it takes 3. Other work on the machine does not count."""


class _Loader(yaml.SafeLoader):
    """Leaves the names of Python's objects unread."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    before = os.times()
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},  # docs/development.md, "The site"
        capture_output=True,
        text=True,
        check=False,
    )
    told = built.stdout + built.stderr
    assert built.returncode == 0, told
    assert "WARNING" not in told
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < SECONDS
    return folder


def navigation() -> list[str]:
    """The pages of the navigation, in order."""

    def pages(entry: object) -> list[str]:
        match entry:
            case str():
                return [entry]
            case dict():
                return [page for each in entry.values() for page in pages(each)]
            case list():
                return [page for each in entry for page in pages(each)]
        raise AssertionError(entry)

    return pages(yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=_Loader)["nav"])


def test_the_navigation_is_the_order_of_reading() -> None:
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    order = [target.removeprefix("../") for target in re.findall(r"\]\((\S+?)\)", text)]
    assert navigation() == ["index.md" if target == "README.md" else target for target in order]


def test_every_page_is_in_the_order_of_reading() -> None:
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= set(navigation())


class Links(HTMLParser):
    """The addresses of a page: `href` and `src`."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if name in ("href", "src", "srcset") and value]


def test_every_link_of_the_site_leads_to_a_file_of_it(site: Path) -> None:
    """Those in HTML too, which mkdocs does not look at."""
    lost = []
    for page in set(site.rglob("*.html")) - {site / "404.html"}:  # which is shown at any address
        for link in Links(page).found:
            target = link.partition("#")[0].partition("?")[0]
            if not target or re.match(r"[a-z]+:", target):
                continue
            if not (page.parent / target).is_file():
                lost.append(f"{page.relative_to(site)}: {link}")
    assert lost == []


def test_the_home_is_the_readme(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    assert "A language model that improves itself" in home
    assert (site / "examples" / "index.html").is_file()
