"""From the inputs a configuration names to the committed artifacts they are, checked against the pinned digests.

A step reads what the control plane decided on and nothing else: a digest that differs is an error, never a
surprise in the numbers. It must not read the files themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from selfreward_steps.contract import InputRef, artifact_names
from selfreward_steps.errors import InfrastructureError, PermanentError
from selfreward_steps.store import Store
from selfreward_steps.store.digests import digest_of

POLL_SECONDS = (0.2, 2.0)
"""First and longest pause while waiting for a shard."""


@dataclass(frozen=True)
class ResolvedInput:
    """One role's committed artifacts (one, or every shard in order) and the digest they have together."""

    ref: InputRef
    artifacts: tuple[str, ...]
    digest: str


def artifacts_of(ref: InputRef, shard: int | None, shards: int | None) -> tuple[str, ...]:
    """The artifacts that `ref` means for this step: a step with as many shards reads its own shard only."""
    if shard is not None and ref.shards is not None and ref.shards == shards:
        return (artifact_names.shard(ref.artifact, shard),)
    return tuple(artifact_names.shards(ref.artifact, ref.shards))


def resolve(
    store: Store,
    inputs: Mapping[str, InputRef],
    *,
    shard: int | None,
    shards: int | None,
    waiting: Callable[[], None],
) -> dict[str, ResolvedInput]:
    """Resolve every role; `waiting` is called after each look while a shard is still to be written.

    Only a shard without a pinned digest is waited for (judge's shard i runs beside respond's), without an end of
    its own: deadlines are the control plane's. Raises InfrastructureError InputMissing when any other input is not
    committed, and PermanentError InputChanged when it is another than the pinned one.
    """
    return {role: _resolve(store, role, ref, artifacts_of(ref, shard, shards), waiting) for role, ref in inputs.items()}


def _resolve(
    store: Store, role: str, ref: InputRef, artifacts: tuple[str, ...], waiting: Callable[[], None]
) -> ResolvedInput:
    awaited = ref.shards is not None and ref.digest is None
    digests = [_digest(store, role, artifact, waiting if awaited else None) for artifact in artifacts]
    # One digest for all shards, so that a sharded input can be pinned by one value too.
    digest = digests[0] if len(digests) == 1 else digest_of(digests)
    if ref.digest is not None and digest != ref.digest:
        raise PermanentError(
            "InputChanged",
            f"inputs.{role}: {store.address(ref.artifact)} has digest {digest}, this step was given {ref.digest}: "
            "the store was changed from outside; use another run name or storage prefix",
        )
    return ResolvedInput(ref, artifacts, digest)


def _digest(store: Store, role: str, artifact: str, waiting: Callable[[], None] | None) -> str:
    pause, longest = POLL_SECONDS
    while (manifest := store.read_manifest(artifact)) is None:
        if waiting is None:
            raise InfrastructureError(
                "InputMissing", f"inputs.{role}: {store.address(artifact)} is not committed: run its step first"
            )
        waiting()
        time.sleep(pause)
        pause = min(pause * 1.5, longest)
    return manifest.digest
