"""Downloads that arrive damaged: made again, and never used when they stay so."""

from pathlib import Path

import pytest
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError
from selfreward_steps.store import ProblemKind, StoreReason
from selfreward_steps.store.s3_store import S3Store

from ..fault_proxy import (
    ALWAYS,
    Act,
    Faults,
    flip_bit,
    lose_answer,
    shorten,
    tear,
)
from .committing import SLOW_DOWN, commit, whole

READING: list[tuple[str, Act]] = [
    ("torn", tear),
    ("shortened", shorten),
    ("bit-flip", flip_bit),
    ("slow-down", SLOW_DOWN),
    ("reset", lose_answer),
]


@pytest.mark.parametrize("name", ["small.jsonl", "model.bin"])
@pytest.mark.parametrize("act", [p[1] for p in READING], ids=[p[0] for p in READING])
def test_a_bad_download_is_made_again(
    store: S3Store, faults: Faults, output: Path, tmp_path: Path, name: str, act: Act
) -> None:
    commit(store, output)
    fault = faults.add("GET", f"/{name}", act)
    assert whole(store, output, tmp_path)
    assert fault.met == 1


@pytest.mark.parametrize(
    ("act", "error", "reason", "kind"),
    [
        pytest.param(tear, InfrastructureError, StoreReason.UNAVAILABLE, None, id="torn"),
        pytest.param(shorten, PermanentError, StoreReason.CORRUPT, ProblemKind.SIZE, id="shortened"),
        pytest.param(flip_bit, PermanentError, StoreReason.CORRUPT, ProblemKind.CONTENT, id="bit-flip"),
        pytest.param(SLOW_DOWN, InfrastructureError, StoreReason.UNAVAILABLE, None, id="slow-down"),
    ],
)
def test_a_download_that_stays_bad_is_never_used(
    store: S3Store,
    faults: Faults,
    output: Path,
    tmp_path: Path,
    act: Act,
    error: type[StepError],
    reason: StoreReason,
    kind: ProblemKind | None,
) -> None:
    commit(store, output)
    faults.add("GET", "/model.bin", act, times=ALWAYS)
    with pytest.raises(error, match=r"m1") as caught:
        store.fetch("m1", tmp_path / "copy")
    assert caught.value.reason == reason
    assert not (tmp_path / "copy").exists()
    assert [path.name for path in tmp_path.glob(".fetch-*") if path.is_dir()] == []
    with pytest.raises(error), store.open("m1", "model.bin") as stream:
        stream.read()
    if kind is not None:
        assert [(problem.name, problem.kind) for problem in store.verify("m1")] == [("model.bin", kind)]
