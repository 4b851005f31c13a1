"""A base model that has hardly been trained, for what needs weights and no wits."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def newborn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an M0 after ten steps."""
    from known_world.model import make_base_model  # torch takes seconds: only who needs weights pays for it

    folder = tmp_path_factory.mktemp("world") / "m0"
    make_base_model(folder, seed=0, steps=10, batch=16)
    return folder
