"""Watches on runs and their children, through kopf: every event goes into the cache and puts its run on the queue.

Only `on.event` handlers: any other kind leaves annotations or finalizers on the user's resource. kopf ≥ 1.45.2, whose
watches end the operator when they cannot go on, instead of falling silent for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path
from typing import Any, Final

import kopf
from kubernetes.aio.client import Configuration

from selfreward.cluster.kubernetes.client import CHUNK
from selfreward.cluster.kubernetes.resources import ALWAYS, RUNS, View
from selfreward.control.kopf_memory import NoMemories
from selfreward.control.task_family import TaskFamily, end_tasks
from selfreward.render.metadata import RUN
from selfreward.render.resource import Resource

BACKOFFS: Final = (1, 2, 4, 8, 15, *(30,) * 20)
"""Waits after errors of the API server: ten and a half minutes of outage, then the watches are begun anew."""
INACTIVITY_SECONDS: Final = 70.0
"""Bookmarks come every 60 s; a watch that brings not even one of them is opened again."""

_IDLE_SECONDS: Final = 0.1
_TOKEN_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

Told = Callable[[Resource, str | None, View], Awaitable[None]]
"""Called with each event: the resource type, what happened (`ADDED`, `MODIFIED`, `DELETED`; None for an object that
was listed when the watch was opened), and the object."""
Login = Callable[[], kopf.ConnectionInfo]


def kopf_login(configuration: Configuration) -> kopf.ConnectionInfo:
    """The operator's credentials for kopf, which asks again when its token was refused."""
    scheme, _, token = str((configuration.api_key or {}).get("BearerToken", "")).partition(" ")
    # A service account's is rotated on disk.
    if _TOKEN_FILE.exists() and token:
        token = _TOKEN_FILE.read_text(encoding="utf-8").strip()
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )


async def watch(
    served: Collection[Resource],
    namespaces: Iterable[str],
    login: Login,
    told: Told,
    begun: Callable[[], None] = lambda: None,
) -> str:
    """Watch runs and their children, of the types that the cluster serves, until cancelled.

    Without `namespaces` in all of them. `begun` is called once kopf has taken over the process' signals, so that
    they can be taken back. Returns why the watches ended: the API server was out of reach for longer than
    :data:`BACKOFFS`, or a type is not served any more.
    """
    chosen = tuple(namespaces)
    family = TaskFamily()
    family.begin()
    # Not `kopf.operator`, which in the end cancels every task of the loop that is younger than itself.
    tasks = await kopf.spawn_tasks(
        registry=registry_of(served, login, told),
        settings=settings_of(served),
        standalone=True,
        # Not kopf's own guess, which asks for the name of a user that a container's passwd does not have.
        identity="selfreward",
        clusterwide=not chosen,
        namespaces=chosen,
        memo=kopf.Memo(),
        memories=NoMemories(),
    )
    begun()
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks(tasks)
        # When one watch fails, kopf leaves the others running: its own `operator` cancels whatever is left of the loop.
        await family.end()
    reasons = [task.exception() for task in done if not task.cancelled()]
    return "; ".join(f"{type(reason).__name__}: {reason}" for reason in reasons if reason is not None)


def registry_of(served: Collection[Resource], login: Login, told: Told) -> kopf.OperatorRegistry:
    """A registry of kopf with one handler for each resource type."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)  # type: ignore[untyped-decorator]
    def _login(**_: Any) -> kopf.ConnectionInfo:
        return login()

    for resource in watched(served):
        _register(registry, resource, told)
    return registry


def settings_of(served: Collection[Resource]) -> kopf.OperatorSettings:
    """kopf's settings, where its defaults would not do."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.scanning.disabled = True
    settings.networking.error_backoffs = BACKOFFS
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.watching.connect_timeout = 5
    settings.watching.inactivity_timeout = INACTIVITY_SECONDS
    # Its default reads every list as a whole.
    settings.watching.chunk_size = CHUNK
    # Each object has a worker of its own; handlers do nothing that the next event would have to wait for.
    settings.queueing.idle_timeout = _IDLE_SECONDS
    # Its SIGKILL ten minutes after a stop: the kubelet has one of its own.
    settings.process.ultimate_exiting_timeout = None
    for resource in watched(served):
        if resource is not RUNS:
            # Other people's pods must cost neither traffic nor memory.
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = RUN
    return settings


class _NoDiffBase(kopf.DiffBaseStorage):  # type: ignore[misc]
    """A storage of nothing. Handlers of events do not ask what an object was like, and kopf copies each for it."""

    def build(self, **_: Any) -> dict[str, Any]:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Keep nothing of the object."""


def watched(served: Collection[Resource]) -> tuple[Resource, ...]:
    """All resource types to watch on this cluster."""
    return (*ALWAYS, *served)


def _register(registry: kopf.OperatorRegistry, resource: Resource, told: Told) -> None:
    @kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id=resource.plural)  # type: ignore[untyped-decorator]
    async def _event(event: kopf.RawEvent, **_: Any) -> None:
        await told(resource, event["type"], event["object"])
