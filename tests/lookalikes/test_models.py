"""docs/models.md is fresh: what it says of each model is what becomes of its look-alike on the way to M2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from lookalikes.models import MODELS
from lookalikes.page import COLUMNS, as_markdown, cells
from lookalikes.walking import serving, walked

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def _on_the_page(name: str) -> dict[str, str]:
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {name} |")]
    _, *found = re.split(r" (?<!\\)\| ", line.removeprefix("| ").removesuffix(" |"))
    return dict(zip(COLUMNS, found, strict=True))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all models."""
    with serving(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.mark.parametrize("name", MODELS)
def test_a_look_alike_gets_to_m2(
    name: str, url: str, tmp_path: Path, forks: ForkServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFREWARD_SCRATCH", str(tmp_path / "scratch"))
    assert cells(walked(name, tmp_path, forks, url)) == _on_the_page(name)


def test_the_page_is_generated() -> None:
    assert as_markdown({name: _on_the_page(name) for name in MODELS}) == PAGE, "make generate"
