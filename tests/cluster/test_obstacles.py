"""Obstacles as Kubernetes shows them, each in one sentence that names the field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from render.cases import SECRETS, run_of
from selfreward.api import Reason
from selfreward.cluster.kubernetes import Refused
from selfreward.cluster.kubernetes.obstacles import pod_obstacles, refusal
from selfreward.plan import Obstacle
from selfreward_steps.errors import PermanentError

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEMPLATE = {"judge": {"template": "custom", "customTemplate": {"configMapRef": {"name": "mine"}}}}
TRACKER = {"training": {"trackerSecret": "wandb"}}


def a_pod(step: str, key: str, reason: str, message: str) -> dict[str, Any]:
    """A pod that waits; of a server when it is of no step."""
    labels = {"selfreward.dev/step": step, "selfreward.dev/key": key} if step else {"selfreward.dev/model": key}
    waiting = [{"name": "step", "state": {"waiting": {"reason": reason, "message": message}}}]
    if reason == "Unschedulable":
        status: dict[str, Any] = {
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]
        }
    else:
        status = {"containerStatuses": waiting}
    return {
        "metadata": {"name": "p", "labels": labels, "creationTimestamp": (NOW - timedelta(seconds=40)).isoformat()},
        "spec": {"containers": [{"name": "step"}]},
        "status": {"phase": "Pending", **status},
    }


CONFIG = "CreateContainerConfigError"


@pytest.mark.parametrize(
    ("spec", "pod", "reason", "field"),
    [
        (SECRETS, ("import", "import", CONFIG, 'secret "hub" not found'), "SecretMissing", "spec.model.tokenSecretRef"),
        (
            SECRETS,
            ("respond", "respond-1", CONFIG, "couldn't find key key in Secret research/server"),
            "SecretMissing",
            "spec.serving.apiKeySecretRef",
        ),
        (
            SECRETS,
            ("pairs", "pairs-1", CONFIG, 'secret "s3-credentials" not found'),
            "SecretMissing",
            "spec.storage.secret",
        ),
        (TRACKER, ("dpo", "dpo-1", CONFIG, 'secret "wandb" not found'), "SecretMissing", "spec.training.trackerSecret"),
        (
            TEMPLATE,
            ("import", "import", CONFIG, 'configmap "mine" not found'),
            "SecretMissing",
            "spec.judge.customTemplate.configMapRef",
        ),
        (
            {},
            ("judge", "judge-1", CONFIG, 'secret "other" not found'),
            "SecretMissing",
            "spec.workloads.generation.env",
        ),
        ({}, ("sft", "sft", "ErrImagePull", "denied"), "ImagePullFailed", "spec.workloads.training.image"),
        ({}, ("", "m1", "ImagePullBackOff", "back-off"), "ImagePullFailed", "spec.workloads.serving.image"),
        ({}, ("", "m1", "Unschedulable", "0/9 nodes"), "Unschedulable", "spec.workloads.serving"),
        ({}, ("dpo", "dpo-1", "RunContainerError", "no device"), "CannotStart", "spec.workloads.training"),
    ],
)
def test_a_pod_that_cannot_start(spec: dict[str, Any], pod: tuple[str, str, str, str], reason: str, field: str) -> None:
    (found,) = pod_obstacles(run_of(**spec), [a_pod(*pod)])
    assert (found.reason, found.since) == (reason, NOW - timedelta(seconds=40))
    assert found.message.startswith(f"{field}: {pod[1]}: {pod[2]}: ")
    assert found.message.endswith(pod[3])


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_waiting_may_help(reason: str) -> None:
    assert list(pod_obstacles(run_of(), [a_pod("sft", "sft", reason, "")])) == []


def test_each_step_and_model_has_an_obstacle_of_its_own() -> None:
    pods = [a_pod("dpo", "dpo-1", "ErrImagePull", "denied"), a_pod("", "m1", "Unschedulable", "0/9 nodes")]
    assert [each.reason for each in pod_obstacles(run_of(), pods)] == ["ImagePullFailed", "Unschedulable"]


@pytest.mark.parametrize(
    ("error", "obstacle"),
    [
        (
            Refused("spec.training.backend: auto: …", reason="TrainingOperatorMissing"),
            Obstacle(Reason.TRAINING_OPERATOR_MISSING, "spec.training.backend: auto: …", NOW),
        ),
        (Refused("Service s exists", reason="NameTaken"), Obstacle(Reason.NAME_TAKEN, "Service s exists", NOW)),
        (Refused("exceeded quota", reason="Forbidden"), Obstacle(Reason.REFUSED, "Forbidden: exceeded quota", NOW)),
        (
            PermanentError("BucketNotFound", "bucket runs does not exist"),
            Obstacle(
                Reason.STORAGE_REFUSED,
                "spec.storage (s3://bucket/runs): BucketNotFound: bucket runs does not exist",
                NOW,
            ),
        ),
    ],
    ids=["no training operator", "a name", "a quota", "a bucket"],
)
def test_what_is_refused(error: Refused | PermanentError, obstacle: Obstacle) -> None:
    assert refusal(run_of(), error, NOW) == obstacle
