"""batch/v1 Jobs, plain and Indexed, with one attempt each: retries are the operator's own.

Kubernetes may replace a pod that a node took down (that is not the step's failure), and no other.
"""

from __future__ import annotations

from typing import Final

from selfreward_steps.contract import ExitCode

from selfreward.render.metadata import Manifest

POD_FAILURE_POLICY: Final[Manifest] = {
    "rules": [
        # Evicted, preempted, drained: a replacement pod, and nothing counted.
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        # The user must act: the other shards would end the same.
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": "step", "operator": "In", "values": [ExitCode.CONFIGURATION.value]},
        },
    ]
}


def job(metadata: Manifest, template: Manifest) -> Manifest:
    """A Job with one pod."""
    return _job(metadata, template, {"backoffLimit": 0, "completions": 1, "parallelism": 1})


def indexed_job(metadata: Manifest, template: Manifest, shards: int, parallelism: int) -> Manifest:
    """A Job of one pod a shard, at most `parallelism` at a time.

    A shard that fails leaves the others running: what they commit is not done again by the next attempt.
    """
    shape = {
        "completionMode": "Indexed",
        "completions": shards,
        "parallelism": min(parallelism, shards),
        "backoffLimitPerIndex": 0,
    }
    return _job(metadata, template, shape)


def _job(metadata: Manifest, template: Manifest, shape: Manifest) -> Manifest:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            **shape,
            "podFailurePolicy": POD_FAILURE_POLICY,
            # A terminating pod still holds its GPU or its requests: wait for it before replacing it.
            "podReplacementPolicy": "Failed",
            "template": template,
        },
    }
