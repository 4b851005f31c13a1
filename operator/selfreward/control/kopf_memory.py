"""The one place that knows kopf's insides: what it remembers of each object, which here is nothing.

Handlers of events remember nothing of an object; kopf would keep 2 KB for each that there is, and its public interface
has no way to say so. `tests/control/test_watching.py` fails when kopf changes what is used here.
"""

from __future__ import annotations

from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory


class NoMemories(ResourceMemories):  # type: ignore[misc]
    """The memories of a kopf operator that forgets each object once its event is handled."""

    async def recall(self, raw_body: kopf.RawBody, **options: Any) -> ResourceMemory:
        return await super().recall(raw_body, **{**options, "ephemeral": True})
