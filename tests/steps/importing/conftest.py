"""A tiny model for every test of importing, to be spoilt."""

import shutil
from pathlib import Path

import pytest
from steps.tiny_model import make_tiny_model


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture
def tiny(made: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / "tiny"))
