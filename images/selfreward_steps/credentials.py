"""Keys and tokens from the environment, as they may stand in a header.

A key with a line break in it is refused before it is sent: HTTP libraries quote the whole header in their error, and
with it the key, and what an attempt says of its end goes into the run's status. It must not print one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from selfreward_steps.errors import PermanentError

_SENDABLE: Final = re.compile(r"[\x20-\x7e]+")
_HOLDS_ONE: Final = re.compile(r"SELFREWARD_TOKEN_\w+|\w*API_KEY|AWS_(SECRET_ACCESS_KEY|SESSION_TOKEN)|HF_TOKEN")
_SHORTEST: Final = 8
"""A key of fewer signs would take ordinary words out of a message."""


def credential(environment: Mapping[str, str], variable: str, field: str) -> str:
    """The key in `variable` without the blanks and line ends around it, as `echo` leaves one; empty where it is none.

    `field` is the spec's, to be named. Raises PermanentError BadCredential when no header can hold it.
    """
    key = environment.get(variable, "").strip()
    if key and _SENDABLE.fullmatch(key) is None:
        raise PermanentError(
            "BadCredential",
            f"{field}: environment variable {variable} holds a line break or a letter outside ASCII, which no HTTP "
            "header can carry: correct the secret",
        )
    return key


def without_credentials(message: str, environment: Mapping[str, str]) -> str:
    """`message` with `[secret]` for each key and token of the environment: a server may repeat the one that it was sent
    when it refuses it."""
    for name, text in environment.items():
        secret = text.strip()
        if len(secret) >= _SHORTEST and _HOLDS_ONE.fullmatch(name):
            message = message.replace(secret, "[secret]")
    return message
