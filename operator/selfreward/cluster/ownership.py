"""Ownership of committed artifacts: whether one was made from the inputs and the settings that the run has now.

A store may hold what an earlier run of the same name left, made from other settings; adopting that would end the
run with somebody else's numbers. The inputs digest in the manifest tells: it must be the one that the step's own
configuration gives (:mod:`selfreward_steps.identity`). Pure; it must not look into a store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from selfreward_steps.contract import InputRef, artifact_names
from selfreward_steps.identity import output_digests, step_digest

from selfreward.api import SelfRewardRun, StepStatus
from selfreward.plan import CreateStep, Graph, Node
from selfreward.plan.graph import committed_digests, paired_inputs, pinned_inputs
from selfreward.render.configs import step_config

DigestOf = Callable[[str], str | None]
"""The digest of a committed artifact or shard; None while it is not committed."""


class Ownership:
    """The inputs digests of one run's artifacts, each worked out once a generation of its spec."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], str] = {}

    def inputs_digest(
        self, run: SelfRewardRun, graph: Graph, node: Node, name: str, shard: int | None, digest_of: DigestOf
    ) -> str | None:
        """The inputs digest that `name`, an output of `node` or its shard `shard`, must have.

        None while something that the step reads is not committed: then `name` cannot be the run's.
        """
        generation = run.metadata.generation
        if (generation, name) not in self._known:
            inputs = pinned_inputs(graph, node, committed_digests(_rows(run)))
            digests = None if inputs is None else _resolved(inputs, shard, digest_of)
            if inputs is None or digests is None:
                return None
            config = step_config(run, node, CreateStep(name="", key=node.key, attempt=1, inputs=inputs))
            artifact = config.output if shard is None else name
            for output, digest in output_digests(config, artifact, step_digest(config, digests, shard)).items():
                self._known[generation, output] = digest
        return self._known.get((generation, name))


def paired_shards(graph: Graph, node: Node) -> list[str]:
    """The shards of other steps that the step's own shards read one to one, whatever else is committed."""
    return [name for artifact in paired_inputs(graph, node) for name in artifact_names.shards(artifact, node.shards)]


def _resolved(inputs: Mapping[str, InputRef], shard: int | None, digest_of: DigestOf) -> dict[str, str] | None:
    """Digest by role, as the step itself will find them (:mod:`selfreward_steps.attempt.inputs`)."""
    found: dict[str, str] = {}
    for role, ref in inputs.items():
        digest = ref.digest or digest_of(artifact_names.shards(ref.artifact, ref.shards)[shard or 0])
        if digest is None:
            return None
        found[role] = digest
    return found


def _rows(run: SelfRewardRun) -> list[StepStatus]:
    return [row for iteration in run.status.iterations for row in iteration.steps]
