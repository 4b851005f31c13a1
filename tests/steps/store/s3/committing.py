"""An artifact committed to a bucket and fetched from it, where the way there may fail."""

from dataclasses import replace
from pathlib import Path

from selfreward_steps.store import Manifest
from selfreward_steps.store.s3_store import S3Store

from ..conftest import OPTIONS
from ..fault_proxy import refuse
from ..stored_bytes import A

MANIFEST = "/m1/manifest.json"
DATA = "/m1/data-"
# Two seconds are enough for a loaded machine to answer one small request.
IMPATIENT = replace(OPTIONS, read_timeout_s=2)
SLOW_DOWN = refuse(503, "SlowDown")


def commit(store: S3Store, output: Path, inputs: str = A) -> Manifest:
    return store.commit("m1", output, inputs_digest=inputs, step="sft")


def whole(store: S3Store, output: Path, tmp_path: Path) -> bool:
    store.fetch("m1", tmp_path / "whole")
    return all((tmp_path / "whole" / p.name).read_bytes() == p.read_bytes() for p in output.iterdir())
