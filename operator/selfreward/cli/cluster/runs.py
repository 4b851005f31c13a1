"""The commands about a run on a cluster, through the kubeconfig: nothing that `kubectl` could not do as well.

Each is one patch of the resource; what becomes of it is the operator's. This module must not talk to anything but the
API server.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from selfreward.api import APPROVED, PAUSED, RETRY, ConditionType, Phase
from selfreward.api.spec import ArtifactPolicy
from selfreward.cli.cluster.asking import ask, read_run
from selfreward.cli.errors import CommandError
from selfreward.cli.place import Place
from selfreward.cluster.kubernetes.resources import RUNS, Object


def suspend(place: Place, name: str, *, at_boundary: bool) -> str:
    """Hold the run; returns what to tell the user."""
    policy = "StepBoundary" if at_boundary else "Immediate"
    _patch(place, name, {"spec": {"suspend": True, "suspendPolicy": policy}})
    when = "at the end of the running steps" if at_boundary else "now"
    return f"{name}: suspended {when}; selfreward resume {name} lets it go on"


def resume(place: Place, name: str) -> str:
    """Let a suspended run go on; returns what to tell the user."""
    _patch(place, name, {"spec": {"suspend": False}})
    return f"{name}: resumed"


def retry(place: Place, name: str) -> str:
    """Ask for another try at the failed step."""
    run = read_run(place, name)
    if run.status.true_condition(ConditionType.FAILED) is None:
        raise CommandError([f"{name}: has not failed (it is {run.status.phase.value}): there is nothing to retry"])
    _annotate(place, name, RETRY, datetime.now(UTC).isoformat(timespec="seconds"))
    return f"{name}: is tried again from its failed step"


def approve(place: Place, name: str, iteration: int | None) -> str:
    """Let the next iteration start, or all up to the one given."""
    if iteration is None:
        run = read_run(place, name)
        schedule = run.spec.schedule
        if schedule is None or not schedule.approval or run.status.phase is not Phase.WAITING:
            raise CommandError([f"{name}: no iteration waits for approval; --iteration N gives it in advance"])
        iteration = run.status.iteration + 1
    _annotate(place, name, APPROVED, str(iteration))
    return f"{name}: iteration {iteration} is approved"


def cancel(place: Place, name: str, agreed: Callable[[str], bool]) -> str:
    """End the run for good: the resource is deleted, and with it its children. `agreed` asks the user."""
    run = read_run(place, name)
    fate = "are deleted too" if run.spec.deletion_policy.artifacts is ArtifactPolicy.DELETE else "stay"
    artifacts = f"its artifacts ({run.status.artifacts or 'none yet'}) {fate}"
    if not agreed(f"{name}: the run and its status are deleted, its pods end; {artifacts}. Go on?"):
        return f"{name}: nothing was done; selfreward suspend {name} frees its GPUs and keeps the run"
    uid = run.metadata.uid
    ask(place, name, lambda client, home: client.delete(RUNS, home, name, uid))
    return f"{name}: cancelled; {artifacts}"


def pause(place: Place, name: str, *, paused: bool) -> str:
    """Make the operator leave the run, children and all, as it is; or look after it again."""
    _annotate(place, name, PAUSED, "true" if paused else None)
    if not paused:
        return f"{name}: the operator looks after it again"
    return f"{name}: the operator leaves it alone, what runs goes on; selfreward unpause {name} ends that"


def _annotate(place: Place, name: str, annotation: str, value: str | None) -> None:
    _patch(place, name, {"metadata": {"annotations": {annotation: value}}})


def _patch(place: Place, name: str, patch: Object) -> None:
    ask(place, name, lambda client, home: client.merge(RUNS, home, name, patch))
