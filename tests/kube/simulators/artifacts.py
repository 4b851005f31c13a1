"""What a simulated step leaves in the store: real commits under the real digests, with nothing in them.

The same code that the images run works out what to commit and under which inputs digest, so an operator that hands
a step the wrong inputs fails here as it would there. Waiting is virtual: judge's shard waits for respond's.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from selfreward_steps.attempt import inputs as step_inputs
from selfreward_steps.contract import ExitCode, FailureClass, StepConfig, StepResult, artifact_names, parse_config
from selfreward_steps.errors import InfrastructureError, PermanentError
from selfreward_steps.identity import output_digests, step_digest
from selfreward_steps.store import Store, open_store

AfterCommit = Callable[[str], None]
"""Called with the artifact's name after each commit."""
POLL_SECONDS = 1.0


class SimulatedStep:
    """One attempt at a step (or shard) in the store that its configuration names."""

    def __init__(self, config: str, shard: int | None, hooks: Sequence[AfterCommit]) -> None:
        self.config: StepConfig = parse_config(config)
        self.shard = shard
        self._hooks = hooks
        store = self.config.store
        self._store: Store = open_store(store.uri, endpoint_url=store.endpoint_url, region=store.region)

    async def wait_for_inputs(self) -> None:
        """Return once every shard that is still to be written is there."""
        for ref in self.config.inputs.values():
            if ref.shards is None or ref.digest is not None:
                continue
            for artifact in step_inputs.artifacts_of(ref, self.shard, self.config.shards):
                while self._store.read_manifest(artifact) is None:
                    await asyncio.sleep(POLL_SECONDS)

    def is_done(self) -> bool:
        """Whether an earlier attempt has committed all of it."""
        manifests = {artifact: self._store.read_manifest(artifact) for artifact in self._outputs()}
        wanted = self._outputs()
        return all(
            manifest is not None and manifest.inputs_digest == wanted[name] for name, manifest in manifests.items()
        )

    def commit(self, metrics: Mapping[str, float]) -> StepResult:
        """Commit everything the step must; a StepError becomes the failed result that the real step would report."""
        reason = "AlreadyCommitted" if self._safely_done() else "Committed"
        try:
            outputs = {
                artifact: self._commit(artifact, digest, metrics) for artifact, digest in self._outputs().items()
            }
        except (PermanentError, InfrastructureError) as error:
            kind = FailureClass.PERMANENT if isinstance(error, PermanentError) else FailureClass.INFRASTRUCTURE
            return self.failure(error.reason, str(error), kind)
        return StepResult(
            step=self.config.step,
            shard=self.shard,
            succeeded=True,
            reason=reason,
            outputs=outputs,
            metrics=dict(metrics),
        )

    def failure(self, reason: str, message: str, kind: FailureClass) -> StepResult:
        """The result of an attempt that failed."""
        return StepResult(
            step=self.config.step,
            shard=self.shard,
            succeeded=False,
            reason=reason,
            message=message,
            failure_class=kind,
        )

    def _safely_done(self) -> bool:
        try:
            return self.is_done()
        except (PermanentError, InfrastructureError):
            return False

    def _outputs(self) -> dict[str, str]:
        resolved = step_inputs.resolve(
            self._store, self.config.inputs, shard=self.shard, shards=self.config.shards, waiting=_never
        )
        artifact = self.config.output
        if self.shard is not None:
            artifact = artifact_names.shard(artifact, self.shard)
        digest = step_digest(self.config, {role: found.digest for role, found in resolved.items()}, self.shard)
        return output_digests(self.config, artifact, digest)

    def _commit(self, artifact: str, digest: str, metrics: Mapping[str, float]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "content.json").write_text(json.dumps({"artifact": artifact, "inputs": digest}))
            manifest = self._store.commit(
                artifact,
                Path(folder),
                inputs_digest=digest,
                step=self.config.step.value,
                metadata={"metrics": dict(metrics)} if metrics else {},
            )
        for hook in list(self._hooks):
            hook(artifact)
        return manifest.digest


def _never() -> None:
    raise AssertionError("wait_for_inputs() comes first: a real wait would stop virtual time")


def exit_code_of(result: StepResult) -> int:
    """With which code a step that reports `result` ends."""
    match result.failure_class:
        case None:
            return ExitCode.DONE
        case FailureClass.PERMANENT:
            return ExitCode.CONFIGURATION
        case FailureClass.INFRASTRUCTURE:
            return ExitCode.UNAVAILABLE
        case _:
            return ExitCode.FAILED
