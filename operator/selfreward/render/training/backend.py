"""The entry of a training backend in the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from selfreward.api import Training, TrainingBackend
from selfreward.render.metadata import Manifest
from selfreward.render.resource import Resource


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to run a training step: its resource type, its manifests, and the words for how it ended."""

    name: TrainingBackend
    """As `spec.training.backend` names it."""
    resource: Resource
    """The workload, of which each attempt has one."""
    container: str
    """The name that the container which trains must have."""
    restart: str | None
    """restartPolicy of the pod template; None where the controller overwrites it with a warning."""
    manifests: Callable[[Manifest, Training, Manifest], list[Manifest]]
    """From metadata, settings and pod template to the objects of one attempt, the workload last."""
    succeeded: str
    """Type of the workload's condition when it ended well. When it did not, all say `Failed`."""
    install: str
    """What somebody must do on a cluster that does not serve the resource."""
    brings: tuple[Resource, ...] = ()
    """Types of the attempt's other objects."""
    kueue_framework: str | None = None
    """Its name among Kueue's integrations, if Kueue does not manage it unless told to."""
