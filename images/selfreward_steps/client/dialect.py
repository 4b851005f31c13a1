"""Which parameters a server takes, learnt from what it refuses: the API has one name, and many servers.

Reasoning models of OpenAI want `max_completion_tokens` and their own temperature, Mistral's server knows no `seed`.
What was learnt holds for all later requests of the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from selfreward_steps.client.refusals import ServerError

_OTHER_NAMES: Final[Mapping[str, str]] = {"max_tokens": "max_completion_tokens"}
_OPTIONAL: Final = frozenset({"seed", "stop", "temperature", "top_p"})
"""Without these the answer is still one to the question. Not `logprobs`: without them there is no score."""


class Dialect:
    """How requests are put to one server."""

    def __init__(self) -> None:
        self._renamed: dict[str, str] = {}
        self.left_out: set[str] = set()
        """Parameters that the server does not take."""

    def put(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """`body` as this server takes it."""
        return {self._renamed.get(name, name): value for name, value in body.items() if name not in self.left_out}

    def learn(self, sent: Mapping[str, Any], error: ServerError) -> bool:
        """Whether `error` says how to put the `sent` body better, so that it is worth sending again."""
        optional = {name for name in error.parameters if name in sent and name in _OPTIONAL}
        renamed = {name for name in error.parameters if name in sent and name in _OTHER_NAMES}
        self.left_out |= optional
        self._renamed |= {name: _OTHER_NAMES[name] for name in renamed}
        return bool(optional or renamed)
