"""A run whose artifacts lie in a bucket: the same report, through the same interface."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from report.conftest import NOW
from report.made_run import MadeRun
from selfreward.report.model import RunReport
from selfreward.report.reading import read_report
from steps.store.conftest import s3_environment, s3_port

__all__ = ["s3_environment", "s3_port"]  # fixtures


def test_a_bucket_and_a_folder_give_one_report(whole: RunReport, s3_port: int, tmp_path: Path) -> None:
    storage = {"uri": "s3://artifacts/reports", "endpointUrl": f"http://127.0.0.1:{s3_port}", "region": "us-east-1"}
    run, store = MadeRun(tmp_path, spec={"storage": storage}).make()
    found = read_report(run, store, NOW)
    assert found.artifacts == "s3://artifacts/reports/namespace=default/made"
    assert replace(found, artifacts=whole.artifacts, spec=whole.spec) == whole
