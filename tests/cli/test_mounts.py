"""What the pods of a cluster find on their disks: what is mounted, and nothing of this machine."""

from __future__ import annotations

from typing import Any

import pytest
from selfreward.api import SelfRewardRunSpec
from selfreward.cli.machine.mounts import unmounted

ROWS = {"uri": "file:///mnt/data/rows.jsonl"}
MOUNTED = {"volumes": [{"name": "data"}], "volumeMounts": [{"name": "data", "mountPath": "/mnt/data"}]}


def told(**spec: Any) -> list[str]:
    return list(unmounted(SelfRewardRunSpec.model_validate({"model": {"uri": "hf://a/b"}, **spec})))


UNSEEN = "nothing is mounted there in the pods that read it: mount a volume by workloads"


@pytest.mark.parametrize(
    ("spec", "lines"),
    [
        pytest.param({}, [], id="nothing on a disk"),
        pytest.param(
            {"seedData": {"instructions": ROWS}},
            [
                f"spec.seedData.instructions.uri: file:///mnt/data/rows.jsonl: {UNSEEN}.processing.volumes and "
                "volumeMounts, or use hf:// or s3://"
            ],
            id="a file of nowhere",
        ),
        pytest.param(
            {"seedData": {"instructions": ROWS}, "workloads": {"processing": MOUNTED}}, [], id="a file of a volume"
        ),
        pytest.param(
            {"seedData": {"instructions": ROWS}, "workloads": {"processing": {"image": "mine"}}},
            [],
            id="a file that an image may hold",
        ),
        pytest.param(
            {"seedData": {"instructions": ROWS}, "storage": {"uri": "file:///mnt/data", "claimName": "runs"}},
            [],
            id="a file of the storage claim",
        ),
        pytest.param(
            {"model": {"uri": "file:///mnt/database"}, "workloads": {"processing": MOUNTED}},
            [
                f"spec.model.uri: file:///mnt/database: {UNSEEN}.processing.volumes and volumeMounts, or use hf:// or s3://"
            ],
            id="beside a mount",
        ),
        pytest.param(
            {"storage": {"uri": "file:///mnt/data/runs"}, "workloads": {"processing": MOUNTED}},
            [
                "spec.storage.uri: file:///mnt/data/runs: pods would write to their own disks, which nobody shares: "
                "set storage.claimName, or mount a volume there in workloads.serving, generation, training"
            ],
            id="storage on the pods' own disks",
        ),
        pytest.param(
            {
                "storage": {"uri": "file:///mnt/data/runs"},
                "workloads": {kind: MOUNTED for kind in ("serving", "generation", "training", "processing")},
            },
            [],
            id="storage on a volume of the user's own",
        ),
        pytest.param(
            {"evaluation": {"lmEval": {"tasks": ["mine"], "includePath": "/mnt/data/tasks"}}},
            [f"spec.evaluation.lmEval.includePath: /mnt/data/tasks: {UNSEEN}.generation.volumes and volumeMounts"],
            id="tasks of nowhere",
        ),
    ],
)
def test_what_is_not_mounted_is_told(spec: dict[str, Any], lines: list[str]) -> None:
    assert told(**spec) == lines
