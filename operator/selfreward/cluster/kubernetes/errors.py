"""Errors of the API server, in the words that a reconcile loop acts on.

Five answers, five actions: `NotFound` is often good news, `Conflict` means look again, `Unavailable` means wait,
`Refused` means that somebody must act, `Occupied` that a name is still another's. This module must not send anything.
"""

from __future__ import annotations

from selfreward.cluster.protocol import ActionRefused


class KubernetesError(Exception):
    """Any answer but the one hoped for; `str(error)` is one line."""

    def __init__(self, message: str, *, reason: str = "", code: int = 0) -> None:
        super().__init__(" ".join(message.split()))
        self.reason = reason
        """CamelCase, the server's own (`AlreadyExists`, `Forbidden`, …)."""
        self.code = code


class NotFound(KubernetesError):
    """No such object, or no such resource type."""


class Conflict(KubernetesError):
    """The object is not what it was: read it again before deciding anything."""


class Refused(KubernetesError, ActionRefused):
    """The request is wrong or forbidden; the same request will be refused again until somebody acts."""


class Occupied(Refused):
    """The name belongs to an object of somebody else, such as an earlier run of the same name that is still going."""


class Unavailable(KubernetesError):
    """The server, or the way to it, is down or busy. Whether a write was done is not known."""

    def __init__(self, message: str, *, reason: str = "", code: int = 0, retry_after: float = 0) -> None:
        super().__init__(message, reason=reason, code=code)
        self.retry_after = retry_after
        """Seconds that the server asks to be left alone."""


_TEMPORARY = frozenset({401, 408, 429})
"""401: a service account's token rotates, and the client reads the new one."""

_UNKNOWN_FIELD = "failed to create typed patch object"
"""Said, with status 500, of an apply with a field that the type does not have: an older or newer CRD than ours."""


def error_of(code: int, reason: str, message: str, retry_after: float) -> KubernetesError:
    """The error that an HTTP status code of the API server stands for."""
    if code == 404:
        return NotFound(message, reason=reason, code=code)
    if code == 409:
        return Conflict(message, reason=reason, code=code)
    if _UNKNOWN_FIELD in message:
        return Refused(message, reason=reason, code=code)
    if code >= 500 or code in _TEMPORARY:
        return Unavailable(message, reason=reason, code=code, retry_after=retry_after)
    return Refused(message, reason=reason, code=code)
