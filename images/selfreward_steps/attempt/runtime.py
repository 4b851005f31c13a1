"""The frame of every step module: the context that a step is given, and the outcome it gives back.

A step module has `def run(context: StepContext[XConfig]) -> StepOutcome`, which :mod:`selfreward_steps.attempt.launch`
calls. This module must stay light: a judging step imports it and may not load torch, datasets or transformers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import JsonValue

from selfreward_steps.attempt.inputs import ResolvedInput
from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.contract import InputRef, StepConfig
from selfreward_steps.store import Manifest, Store

C = TypeVar("C", bound=StepConfig, covariant=True)


@dataclass(frozen=True)
class Output:
    """A finished folder that is to become an artifact. `metadata` must be JSON and is kept in the manifest."""

    artifact: str
    folder: Path
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)

    def with_metrics(self, metrics: Mapping[str, float]) -> Output:
        """The same output with the step's metrics in its metadata, where they are kept in full.

        NaN and infinity are not JSON and are kept as text.
        """
        kept: dict[str, JsonValue] = {
            name: value if math.isfinite(value) else str(value) for name, value in metrics.items()
        }
        return replace(self, metadata={**self.metadata, "metrics": kept} if kept else self.metadata)


@dataclass(frozen=True)
class StepOutcome:
    """What a step ends with. `commit` is False on torchrun's ranks above 0, which commit and say nothing."""

    outputs: Sequence[Output]
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Numbers for status; in full in the manifest's metadata, as many as fit in the termination log."""
    commit: bool = True
    after_commit: Sequence[Callable[[], object]] = ()
    """Called in order once every manifest is committed, on the rank that committed: discard journals, checkpoints."""


@dataclass(frozen=True)
class StepContext(Generic[C]):
    """Everything a step may use: its configuration, its inputs, a place to work and a way to say how far it is."""

    config: C
    store: Store
    scratch: Path
    """An existing folder for this run, output, shard and inputs digest; what an earlier attempt on this machine left
    is still in it. Shared by the ranks of one node. Removed after the commit. `inputs/` in it belongs to `fetch`."""
    shard: int | None
    output: str
    """The artifact to commit: `config.output`, or `config.output/shard-00003` in a sharded step."""
    inputs_digest: str
    """What the output depends on: also the key of the step's journal."""
    outputs: Mapping[str, str]
    """Every artifact the step must commit, with its inputs digest; only the import has more than `output`."""
    progress: ProgressReporter
    seed: int
    """From the run's seed, the step, the iteration and the shard; 0 to 2^31 - 1."""
    rank: int = 0
    """torchrun's global rank; 0 without torchrun."""
    resolved: Mapping[str, ResolvedInput] = field(default_factory=dict)

    def input(self, role: str) -> InputRef:
        """The reference of `role`; KeyError when the configuration has no such input."""
        return self.config.inputs[role]

    def artifacts(self, role: str) -> tuple[str, ...]:
        """The committed artifacts of `role`: one, this step's own shard, or every shard in order."""
        return self.resolved[role].artifacts

    def fetch(self, role: str, only: Sequence[str] | None = None) -> Path:
        """A local folder with the verified files of the role's one artifact; read it, never write it.

        `only` are shell patterns on file names. Raises ValueError when the role has several shards: `fetch_shards`.
        """
        (artifact,) = self.artifacts(role)
        return self._local(artifact, only)

    def fetch_shards(self, role: str, only: Sequence[str] | None = None) -> list[Path]:
        """A folder for each of the role's artifacts, in the order of the shards."""
        return [self._local(artifact, only) for artifact in self.artifacts(role)]

    def committed(self, artifact: str) -> Manifest | None:
        """The manifest of one of `outputs` if an earlier attempt committed it from the same inputs."""
        manifest = self.store.read_manifest(artifact)
        same = manifest is not None and manifest.inputs_digest == self.outputs.get(artifact, self.inputs_digest)
        return manifest if same else None

    def commit(self, output: Output) -> Manifest:
        """Commit one output now; a step with one output leaves that to the end. Idempotent."""
        with self.progress.busy():
            return self.store.commit(
                output.artifact,
                output.folder,
                inputs_digest=self.outputs.get(output.artifact, self.inputs_digest),
                step=self.config.step.value,
                metadata=output.metadata,
            )

    def _local(self, artifact: str, only: Sequence[str] | None) -> Path:
        with self.progress.busy():
            return self.store.local_folder(artifact, self.scratch / "inputs", only=only)


def rank_from(environment: Mapping[str, str] = os.environ) -> int:
    """torchrun's global rank, 0 where there is none."""
    return int(environment.get("RANK", "0"))
