"""The key of a run, and of the run that any object belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from selfreward.cluster.kubernetes.resources import RUNS, View, label_of, name_of
from selfreward.render.metadata import RUN
from selfreward.render.resource import Resource


@dataclass(frozen=True, slots=True, order=True)
class RunKey:
    """Namespace and name of a run, by which the queue knows it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def key_of(resource: Resource, item: View) -> RunKey | None:
    """The run that `item` is, or is a child of; None when it is neither."""
    name = name_of(item) if resource is RUNS else label_of(item, RUN)
    return RunKey(str(item["metadata"]["namespace"]), name) if name else None
