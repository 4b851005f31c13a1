"""docs/datasets.md is fresh: what it says of each dataset is what the import does with its look-alike."""

from pathlib import Path

import pytest
from steps.importing.seed.lookalikes import DATASETS, ROLES, as_markdown, outcome

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", DATASETS)
def test_each_cell(name: str, role: str) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {name} |")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[2 + ROLES.index(role)] == outcome(role, DATASETS[name])


def test_the_page_is_generated() -> None:
    assert as_markdown() == PAGE, "make generate"
