"""The builder of a graph: collects steps in their order, and finds what each must wait for from what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from selfreward_steps.contract import StepName, artifact_names
from selfreward_steps.contract.artifact_names import IterationArtifact

from selfreward.plan.graph.nodes import ChildKind, Node, step_key

_TRAINING = frozenset({StepName.SFT_BASELINE, StepName.SFT, StepName.DPO})


@dataclass(slots=True)
class Builder:
    """Collects nodes; finds what each must wait for from the artifacts it reads."""

    nodes: list[Node] = field(default_factory=list)
    producers: dict[str, str] = field(default_factory=dict)
    """Key of the step that commits an artifact."""

    def add(
        self,
        step: StepName,
        output: str,
        inputs: Mapping[str, str],
        *,
        iteration: int = 0,
        key: str = "",
        also_commits: tuple[str, ...] = (),
        waits_for: Iterable[str] = (),
        beside: tuple[str, ...] = (),
        shards: int | None = None,
        serving: str | None = None,
    ) -> None:
        """Append a step. `waits_for`: artifacts it needs but does not read."""
        needed = (self.producers[artifact] for artifact in (*inputs.values(), *waits_for))
        node = Node(
            key=key or step_key(step, iteration),
            step=step,
            iteration=iteration,
            kind=_kind(step, shards),
            after=tuple(other for other in dict.fromkeys(needed) if other not in beside),
            after_first_shard=beside,
            inputs=inputs,
            output=output,
            also_commits=also_commits,
            shards=shards,
            serving=serving,
        )
        self.nodes.append(node)
        self.producers.update(dict.fromkeys(node.outputs, node.key))


def _kind(step: StepName, shards: int | None) -> ChildKind:
    if step in _TRAINING:
        return ChildKind.TRAINING
    return ChildKind.JOB if shards is None else ChildKind.INDEXED_JOB


def earlier(kind: IterationArtifact, iteration: int) -> dict[str, str]:
    """The artifacts of that kind of the iterations before, by role: `pairs-1`, `pairs-2`, …"""
    return {f"{kind}-{number}": artifact_names.of_iteration(number, kind) for number in range(1, iteration)}
