"""A patient reader of a run's artifacts: one that is not there yet is None, not an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from selfreward_steps.errors import PermanentError
from selfreward_steps.store import Store, StoreReason

_ABSENT = (StoreReason.NOT_COMMITTED, StoreReason.CORRUPT)


class Artifacts:
    """Reads a run's store; collects in `problems` what was there and could not be read.

    A store that cannot be reached at all raises as it does everywhere: InfrastructureError or PermanentError.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.problems: list[str] = []

    def digest(self, artifact: str) -> str | None:
        """The artifact's digest; None while it is not committed."""
        manifest = self._store.read_manifest(artifact)
        return None if manifest is None else manifest.digest

    def committed(self, prefix: str) -> list[str]:
        """Committed artifacts under `prefix`, such as an iteration's shards."""
        return self._store.artifacts(prefix)

    def document(self, artifact: str, name: str) -> dict[str, Any] | None:
        """One JSON document; None while its artifact is not committed, or when it cannot be read."""
        try:
            with self._store.open(artifact, name) as file:
                loaded = json.load(file)
        except (PermanentError, ValueError, KeyError) as error:
            self._noted(artifact, name, error)
            return None
        return loaded if isinstance(loaded, dict) else None

    def has(self, artifact: str, name: str) -> bool:
        """Whether the artifact is committed and holds that file."""
        manifest = self._store.read_manifest(artifact)
        return manifest is not None and any(file.name == name for file in manifest.files)

    def rows(self, artifact: str, name: str) -> Iterator[dict[str, Any]]:
        """The rows of a JSONL file, one at a time; none while its artifact is not committed."""
        try:
            with self._store.open(artifact, name) as lines:
                for line in lines:
                    if not line.isspace():
                        yield json.loads(line)
        except (PermanentError, ValueError, KeyError) as error:
            self._noted(artifact, name, error)

    def _noted(self, artifact: str, name: str, error: Exception) -> None:
        if isinstance(error, PermanentError):
            if error.reason == StoreReason.NOT_COMMITTED:
                return
            if error.reason not in _ABSENT:
                raise error
        self.problems.append(f"{artifact}/{name} could not be read: {error}")
