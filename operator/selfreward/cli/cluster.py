"""The commands about a run on a cluster, through the kubeconfig: nothing that `kubectl` could not do as well.

Each is one patch of the resource; what becomes of it is the operator's. This module must not talk to anything but the
API server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from selfreward.api import APPROVED, PAUSED, RETRY, ConditionStatus, ConditionType, Phase, SelfRewardRun
from selfreward.cli.errors import FAILED, CommandError

try:
    from kubernetes.aio.client import ApiClient
    from kubernetes.aio.config import ConfigException, list_kube_config_contexts

    from selfreward.cluster.kubernetes import KubernetesClient, KubernetesError, NotFound, Unavailable
    from selfreward.cluster.kubernetes.resources import RUNS, Object
    from selfreward.control.credentials import load_configuration
except ImportError as error:
    raise CommandError([f"{error.name} is not installed: pip install 'selfreward[operator]'"]) from error

Found = TypeVar("Found")


def suspend(name: str, namespace: str | None, *, at_boundary: bool) -> str:
    """Hold the run; returns what to tell the user."""
    policy = "StepBoundary" if at_boundary else "Immediate"
    _patch(name, namespace, {"spec": {"suspend": True, "suspendPolicy": policy}})
    when = "at the end of the running steps" if at_boundary else "now"
    return f"{name}: suspended {when}; selfreward resume {name} lets it go on"


def resume(name: str, namespace: str | None) -> str:
    """Let a suspended run go on; returns what to tell the user."""
    _patch(name, namespace, {"spec": {"suspend": False}})
    return f"{name}: resumed"


def retry(name: str, namespace: str | None) -> str:
    """Ask for another try at the failed step."""
    run = _read(name, namespace)
    failed = (each.status for each in run.status.conditions if each.type is ConditionType.FAILED)
    if ConditionStatus.TRUE not in failed:
        raise CommandError([f"{name}: has not failed (it is {run.status.phase.value}): there is nothing to retry"])
    _annotate(name, namespace, RETRY, datetime.now(UTC).isoformat(timespec="seconds"))
    return f"{name}: is tried again from its failed step"


def approve(name: str, namespace: str | None, iteration: int | None) -> str:
    """Let the next iteration start, or all up to the one given."""
    if iteration is None:
        run = _read(name, namespace)
        schedule = run.spec.schedule
        if schedule is None or not schedule.approval or run.status.phase is not Phase.WAITING:
            raise CommandError([f"{name}: no iteration waits for approval; --iteration N gives it in advance"])
        iteration = run.status.iteration + 1
    _annotate(name, namespace, APPROVED, str(iteration))
    return f"{name}: iteration {iteration} is approved"


def pause(name: str, namespace: str | None, *, paused: bool) -> str:
    """Make the operator leave the run, children and all, as it is; or look after it again."""
    _annotate(name, namespace, PAUSED, "true" if paused else None)
    if not paused:
        return f"{name}: the operator looks after it again"
    return f"{name}: the operator leaves it alone, what runs goes on; selfreward unpause {name} ends that"


def read_runs(name: str | None, namespace: str | None) -> list[SelfRewardRun]:
    """The run of that name, or all of the namespace."""
    if name is not None:
        return [_read(name, namespace)]

    async def listed(client: KubernetesClient, home: str) -> list[Object]:
        return (await client.list(RUNS, home)).items

    return [_parsed(item) for item in _asked("runs", namespace, listed)]


def _read(name: str, namespace: str | None) -> SelfRewardRun:
    return _parsed(_asked(name, namespace, lambda client, home: client.get(RUNS, home, name)))


def _parsed(item: Object) -> SelfRewardRun:
    kept = ("apiVersion", "kind", "metadata", "spec", "status")
    return SelfRewardRun.model_validate({key: item[key] for key in kept if key in item})


def _annotate(name: str, namespace: str | None, annotation: str, value: str | None) -> None:
    _patch(name, namespace, {"metadata": {"annotations": {annotation: value}}})


def _patch(name: str, namespace: str | None, patch: Object) -> None:
    _asked(name, namespace, lambda client, home: client.merge(RUNS, home, name, patch))


def _asked(name: str, namespace: str | None, ask: Callable[[KubernetesClient, str], Awaitable[Found]]) -> Found:
    """One question; raises CommandError for every answer but the one that was hoped for."""
    home = namespace or _home()

    async def asked() -> Found:
        configuration = await load_configuration()
        async with ApiClient(configuration) as api:
            return await ask(KubernetesClient(api), home)

    try:
        return asyncio.run(asked())
    except ConfigException as error:
        raise CommandError([f"no cluster: set KUBECONFIG: {error}"]) from error
    except NotFound as error:
        raise CommandError([f"{name}: no such run in namespace {home} (-n names another)"]) from error
    except Unavailable as error:
        raise CommandError([f"the API server cannot be asked: {error}"], FAILED) from error
    except KubernetesError as error:
        raise CommandError([f"{name}: {error}"]) from error


def _home() -> str:
    """The namespace of the kubeconfig's context, as `kubectl` has it."""
    try:
        _, active = list_kube_config_contexts()
    except ConfigException:
        return "default"
    return str((active or {}).get("context", {}).get("namespace") or "default")
