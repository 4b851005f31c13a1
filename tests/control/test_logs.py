"""What is logged at which level: at `debug` this project tells more, and nobody else does."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from selfreward.control.logs import configure


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    names = ("", "kopf", "selfreward", "selfreward_steps")
    before = {name: logging.getLogger(name).level for name in names}
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize(
    ("level", "ours", "botocore", "kopf"),
    [
        ("debug", "DEBUG", "INFO", "WARNING"),
        ("info", "INFO", "INFO", "WARNING"),
        ("warning", "WARNING", "WARNING", "WARNING"),
        ("error", "ERROR", "ERROR", "ERROR"),
    ],
)
def test_the_level_is_this_project_s(level: str, ours: str, botocore: str, kopf: str) -> None:
    configure("json", level)
    effective = {
        name: logging.getLevelName(logging.getLogger(name).getEffectiveLevel())
        for name in ("selfreward.control.reconcile", "selfreward_steps.store", "botocore.auth", "kopf.objects")
    }
    assert list(effective.values()) == [ours, ours, botocore, kopf]
