"""Translation between the resource as the API server has it and the run as it is decided on.

The raw object is kept beside the parsed one and written back with nothing but its status changed, so that a field
that this version does not know survives.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError
from selfreward_steps.store import StoreReason

from selfreward.api import RunStatus, SelfRewardRun
from selfreward.api.mistakes import mistakes
from selfreward.api.problems import described
from selfreward.cluster.kubernetes.resources import Object, View

FINALIZER: Final = "selfreward.dev/artifacts"
"""Only on runs that ask for their artifacts to be deleted with them."""


class UnreadableRun(Exception):
    """The resource cannot be understood; `str(error)` names the field."""


def parse_run(raw: View, default_storage: str | None) -> SelfRewardRun:
    """The run, with its storage filled in: a default may change, a run that has begun keeps the one it began with.

    Raises UnreadableRun for what the CRD's schema let through, for a run without storage, and for mistakes in one that
    has not begun: found by a step, they would cost what came before it.
    """
    try:
        run = SelfRewardRun.model_validate({key: value for key, value in raw.items() if key in _READ})
    except ValidationError as error:
        raise UnreadableRun("; ".join(described(error, SelfRewardRun))) from error
    if run.status.started_at is None and (wrong := list(mistakes(run.spec))):
        raise UnreadableRun("; ".join(wrong))
    if run.spec.storage.uri is not None:
        return run
    uri = _begun_with(run) or default_storage
    if uri is None:
        message = "spec.storage.uri: is required: this operator has no default storage"
        raise UnreadableRun(f"{message} ({StoreReason.MISCONFIGURED})")
    storage = run.spec.storage.model_copy(update={"uri": uri})
    return run.model_copy(update={"spec": run.spec.model_copy(update={"storage": storage})})


_READ: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


def parse_status(raw: View) -> RunStatus:
    """The status of a run whose spec cannot be read; an empty one when it cannot be read either."""
    try:
        return RunStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        return RunStatus()


def with_status(raw: View, status: RunStatus) -> Object:
    """The object to write: `raw` with another status."""
    written: dict[str, Any] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {**raw, "status": written}


def annotation(raw: View, name: str) -> str:
    """An annotation's value; empty when it is absent."""
    return str((raw["metadata"].get("annotations") or {}).get(name, ""))


def _begun_with(run: SelfRewardRun) -> str | None:
    tail = f"/{run.metadata.namespace}/{run.metadata.name}"
    return run.status.artifacts.removesuffix(tail) if run.status.artifacts.endswith(tail) else None
