"""The graph's own types: a step with what it reads and commits, and all steps of a run in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from selfreward_steps.contract import StepName, artifact_names

BASELINE_EVALUATION_KEY: Final = f"{StepName.EVALUATE}-{artifact_names.SFT_BASELINE}"
"""The step that measures the SFT baseline."""


class ChildKind(StrEnum):
    """The workload a step runs as."""

    JOB = "Job"
    INDEXED_JOB = "IndexedJob"
    TRAINING = "Training"
    SERVING = "Serving"


@dataclass(frozen=True, slots=True)
class Node:
    """A step of the graph."""

    key: str
    """Unique in the run (`import`, `respond-1`, `evaluate-m2`)."""
    step: StepName
    iteration: int
    """Number of the iteration it belongs to; 0 for the way to M1."""
    kind: ChildKind
    after: tuple[str, ...]
    """Keys of the steps whose outputs must be committed before it starts."""
    after_first_shard: tuple[str, ...] = ()
    """Keys of sharded steps of which one committed shard is enough; the shards pair up one to one."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """The artifacts that it reads, by their role in the step."""
    output: str = ""
    """Artifact that the step commits; for a sharded step the folder of the shards."""
    also_commits: tuple[str, ...] = ()
    """Further artifacts of the step. It is done when `output` and all of these are committed."""
    shards: int | None = None
    serving: str | None = None
    """Model artifact whose server the step talks to; None when it needs none (or an outside endpoint)."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Every artifact that must be committed before the step is done."""
        return (self.output, *self.also_commits)

    @property
    def needs_gpus(self) -> bool:
        """Whether the step trains, or talks to a server of ours: it must wait for its turn."""
        return self.kind is ChildKind.TRAINING or self.serving is not None


@dataclass(frozen=True, slots=True)
class Graph:
    """All steps of a run, in an order in which each comes after what it needs."""

    nodes: tuple[Node, ...]
    by_key: Mapping[str, Node] = field(init=False, repr=False, compare=False)
    producers: Mapping[str, Node] = field(init=False, repr=False, compare=False)
    """The step that commits an artifact, by the artifact."""
    readers: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    """Keys of the steps that read an artifact, by the artifact."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_key", {node.key: node for node in self.nodes})
        object.__setattr__(self, "producers", {each: node for node in self.nodes for each in node.outputs})
        readers: dict[str, tuple[str, ...]] = {}
        for node in self.nodes:
            for artifact in node.inputs.values():
                readers[artifact] = (*readers.get(artifact, ()), node.key)
        object.__setattr__(self, "readers", readers)

    def node(self, key: str) -> Node:
        """The node of that key; raises KeyError."""
        return self.by_key[key]


def step_key(step: StepName, iteration: int) -> str:
    """The key of a step of an iteration: `dpo-2`; on the way to M1, iteration 0, the step's name alone."""
    return f"{step}-{iteration}" if iteration else str(step)


def evaluation_key(number: int) -> str:
    """The key of the step that ends the evaluation of M_number: `evaluate-m2`."""
    return f"{StepName.EVALUATE}-{artifact_names.model(number)}"
