"""Refusals of the API server, each with the Status object that clients read.

Wording follows k8s.io/apimachinery `pkg/api/errors/errors.go`: clients (and our own code) look at `reason` and
`code`, people at `message`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kube.kinds import Kind


@dataclass(frozen=True)
class Cause:
    """Why, of one field."""

    field: str
    reason: str
    message: str

    def as_json(self) -> dict[str, Any]:
        return {"reason": self.reason, "message": self.message, "field": self.field}


@dataclass
class ApiError(Exception):
    """A request that is refused."""

    code: int
    reason: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code} {self.reason}: {self.message}"

    def as_status(self) -> dict[str, Any]:
        """The body of the answer."""
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        }
        # An unclassified error has no reason at all, as with a resourceVersion on create.
        return (
            status
            | ({"reason": self.reason} if self.reason else {})
            | ({"details": self.details} if self.details else {})
        )


def _details(kind: Kind, name: str, **more: Any) -> dict[str, Any]:
    group = {"group": kind.group} if kind.group else {}
    return {"name": name, **group, "kind": kind.plural, **more}


def not_found(kind: Kind, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found', _details(kind, name))


def no_such_resource() -> ApiError:
    """An unknown path: the answer for a kind whose CRD is not installed."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def not_allowed() -> ApiError:
    """A verb that a path does not have: a create in no namespace."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message)


def already_exists(kind: Kind, name: str) -> ApiError:
    return ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(kind, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def apply_conflict(causes: Sequence[Cause]) -> ApiError:
    """Server-side apply met fields of other managers."""
    count = f"{len(causes)} conflict" + ("s" if len(causes) > 1 else "")
    what = "; ".join(f"{cause.message}: {cause.field}" for cause in causes)
    return ApiError(
        409,
        "Conflict",
        f"Apply failed with {count}: {what}",
        {"causes": [cause.as_json() for cause in causes]},
    )


def invalid(kind: Kind, name: str, causes: Sequence[Cause]) -> ApiError:
    problems = [f"{cause.field}: {cause.message}" for cause in causes]
    text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    group_kind = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    details = {**_details(kind, name), "kind": kind.kind, "causes": [cause.as_json() for cause in causes]}
    return ApiError(422, "Invalid", f'{group_kind} "{name}" is invalid: {text}', details)


def invalid_dry_run(verb: str, value: str) -> ApiError:
    """A dry run of some stages only, which there is none of."""
    options = {"create": "CreateOptions", "update": "UpdateOptions"}.get(verb, "PatchOptions")
    cause = Cause("dryRun", "FieldValueNotSupported", f'Unsupported value: ["{value}"]: supported values: "All"')
    details = {"group": "meta.k8s.io", "kind": options, "causes": [cause.as_json()]}
    return ApiError(422, "Invalid", f'{options}.meta.k8s.io "" is invalid: dryRun: {cause.message}', details)


def invalid_field(kind: Kind, name: str, path: str, value: object, message: str) -> ApiError:
    return invalid(kind, name, [Cause(path, "FieldValueInvalid", f"Invalid value: {value!r}: {message}")])


def unprocessable(message: str) -> ApiError:
    """A JSON patch that cannot be applied, a failed `test` among them (apiserver `handlers/patch.go`)."""
    return ApiError(422, "Invalid", f"the server rejected our request due to an error in our request: {message}")


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def forbidden(message: str) -> ApiError:
    return ApiError(403, "Forbidden", message)


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def unsupported_media_type(content_type: str, accepted: Sequence[str]) -> ApiError:
    message = f"the body of the request was in an unknown format ({content_type}) - accepted: {', '.join(accepted)}"
    return ApiError(415, "UnsupportedMediaType", message)


def internal(message: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})
