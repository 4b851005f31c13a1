"""Translation between the resource as the API server has it and the run as it is decided on.

The raw object is kept beside the parsed one and written back with nothing but its status changed, so that a field
that this version does not know survives.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError
from selfreward_steps.contract import StoreConfig
from selfreward_steps.store import StoreReason
from selfreward_steps.store.names import run_root

from selfreward.api import ObjectMeta, RunStatus, SelfRewardRun, Storage
from selfreward.api.mistakes import mistakes
from selfreward.api.problems import described
from selfreward.api.spec import MANAGER, ArtifactPolicy
from selfreward.cluster.kubernetes.resources import Object, View
from selfreward.control.defaults import RunDefaults
from selfreward.control.storage import StoragePolicy
from selfreward.render.storage import store_at

FINALIZER: Final = "selfreward.dev/artifacts"
"""Only on runs that ask for their artifacts to be deleted with them."""


class UnreadableRun(Exception):
    """The resource cannot be understood; `str(error)` names the field."""


def parse_run(raw: View, policy: StoragePolicy, defaults: RunDefaults) -> SelfRewardRun:
    """The run, with what it leaves out filled in. A default may change: a run that has begun keeps the storage that it
    began with.

    Raises UnreadableRun for what the CRD's schema let through, for storage that the operator does not have or may not
    use, and for mistakes in a run that has not begun: found by a step, they would cost what came before it.
    """
    try:
        run = SelfRewardRun.model_validate({key: value for key, value in raw.items() if key in _READ})
    except ValidationError as error:
        raise UnreadableRun("; ".join(described(error, SelfRewardRun))) from error
    run = defaults.completed(run)
    if run.status.started_at is None and (wrong := list(mistakes(run.spec))):
        raise UnreadableRun("; ".join(wrong))
    storage = policy.completed(run.spec.storage, _begun_with(run.metadata, run.status))
    if wrong := list(policy.problems(storage, run.metadata)):
        raise UnreadableRun(f"{'; '.join(wrong)} ({StoreReason.MISCONFIGURED})")
    return run.model_copy(update={"spec": run.spec.model_copy(update={"storage": storage})})


def parse_store(raw: View, policy: StoragePolicy) -> StoreConfig:
    """Where the run's artifacts lie, however little else of its spec can be read.

    Raises UnreadableRun for storage that cannot be read or may not be used.
    """
    try:
        metadata = ObjectMeta.model_validate(raw["metadata"])
        storage = Storage.model_validate((raw.get("spec") or {}).get("storage") or {})
    except ValidationError as error:
        raise UnreadableRun(f"spec.storage: {error.errors(include_input=False)[0]['msg']}") from error
    storage = policy.completed(storage, _begun_with(metadata, parse_status(raw)))
    if wrong := list(policy.problems(storage, metadata)):
        raise UnreadableRun("; ".join(wrong))
    try:
        return store_at(storage, metadata)
    except ValueError as error:
        raise UnreadableRun(f"spec.storage.uri: {error}") from error


def deletes_artifacts(raw: View) -> bool:
    """Whether the run asks for its artifacts to be deleted with it; the rest of its spec need not be readable."""
    policy = (raw.get("spec") or {}).get("deletionPolicy")
    return isinstance(policy, dict) and policy.get("artifacts") == ArtifactPolicy.DELETE


def is_managed_elsewhere(raw: View) -> bool:
    """Whether another controller looks after the run (`spec.managedBy`); the rest of its spec need not be readable."""
    return (raw.get("spec") or {}).get("managedBy") not in (None, MANAGER)


def has_begun(raw: View) -> bool:
    """Whether anything can have been committed for the run."""
    return parse_status(raw).started_at is not None


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


def _begun_with(metadata: ObjectMeta, status: RunStatus) -> str | None:
    tail = run_root("", metadata.namespace, metadata.name)
    return status.artifacts.removesuffix(tail) if status.artifacts.endswith(tail) else None
