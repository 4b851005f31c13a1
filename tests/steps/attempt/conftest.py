"""What tests of an attempt share."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from steps.attempt.launching import Place


@pytest.fixture
def place(tmp_path: Path) -> "Place":
    """Where one test's run lies."""
    from steps.attempt.launching import Place

    return Place(tmp_path)
