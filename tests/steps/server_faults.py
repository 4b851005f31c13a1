"""What the scripted server does wrong, and when: faults of one request, and servers that take no `n`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from plausible_model import Body


class FaultKind(StrEnum):
    STATUS = "status"
    """Answer `status` (and `retry_after`) instead of a completion."""
    RESET = "reset"
    """Send half the body, then reset the connection."""
    HANG = "hang"
    """Accept the request and never answer."""
    NONSENSE = "nonsense"
    """Status 200 with a body that is not JSON."""
    EMPTY = "empty"
    """Status 200, JSON, but no choices."""
    SHORT = "short"
    """One choice fewer than asked for."""
    SLOW = "slow"
    """A right answer, `seconds` late."""


@dataclass
class Fault:
    """Befalls `times` completion requests whose prompt contains `match`, after letting `skip` of them pass."""

    kind: FaultKind
    times: int = 1
    skip: int = 0
    match: str = ""
    status: int = 500
    retry_after: str | None = None
    message: str = "scripted fault"
    error: Body | None = None
    """What the error says, in full, instead of `message`."""
    seconds: float = 1.0


class Samples(StrEnum):
    """What the server makes of `n` above 1."""

    MANY = "many"
    ONE = "one"
    """One choice whatever was asked, as servers that ignore `n` do."""
    REJECT = "reject"


def error_body(message: str) -> Body:
    return {"error": {"message": message, "type": "scripted", "code": None}}
