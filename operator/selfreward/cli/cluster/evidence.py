"""The evidence about a run that a cluster has: its objects, their events and logs, and the operator's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from selfreward.cli.cluster.asking import ask
from selfreward.cli.evidence import Evidence
from selfreward.cli.place import Place
from selfreward.cluster.kubernetes import KubernetesClient, KubernetesError
from selfreward.cluster.kubernetes.resources import (
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    OPTIONAL,
    PODS,
    RUNS,
    Object,
    name_of,
    uid_of,
)
from selfreward.render.metadata import RUN_UID
from selfreward.render.resource import Resource

_LINES: Final = 5000
_OPERATOR: Final = "app.kubernetes.io/name=selfreward,app.kubernetes.io/component=operator"


def gather(place: Place, name: str) -> Evidence:
    """All that may be read; what may not be is named. Raises CommandError where there is no such run."""

    async def gathered(client: KubernetesClient, home: str) -> Evidence:
        run = await client.get(RUNS, home, name)
        reader = _Reader(client, Evidence({"run.yaml": run}))
        own = f"{RUN_UID}={uid_of(run)}"
        for resource in (JOBS, DEPLOYMENTS, *OPTIONAL):
            await reader.keep(resource, home, own)
        pods = await reader.keep(PODS, home, own)
        events = await reader.list(EVENTS, home)
        reader.evidence.documents["events.yaml"] = [
            event
            for event in events
            if (about := str(event.get("involvedObject", {}).get("name"))) == name or about.startswith(f"{name}-")
        ]
        await reader.logs(pods)
        # Other people's runs are in there as well.
        await reader.logs(await reader.list(PODS, None, _OPERATOR), about=name)
        await reader.version()
        return reader.evidence

    return ask(place, name, gathered)


class _Reader:
    def __init__(self, client: KubernetesClient, evidence: Evidence) -> None:
        self._client = client
        self.evidence = evidence

    async def list(self, resource: Resource, home: str | None, labels: str = "") -> Sequence[Object]:
        try:
            return (await self._client.list(resource, home, labels)).items
        except KubernetesError as error:
            self.evidence.absent.append(f"{resource.plural}: {error}")
            return ()

    async def keep(self, resource: Resource, home: str, labels: str) -> Sequence[Object]:
        items = await self.list(resource, home, labels)
        if items:
            self.evidence.documents[f"{resource.plural}.yaml"] = list(items)
        return items

    async def logs(self, pods: Sequence[Object], about: str = "") -> None:
        for pod in pods:
            home, name = str(pod["metadata"]["namespace"]), name_of(pod)
            for container in (*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]):
                where = f"{name}/{container['name']}.log"
                try:
                    text = await self._client.log(home, name, container["name"], _LINES)
                    lines = [line for line in text.splitlines(keepends=True) if about in line]
                    self.evidence.logs[where] = "".join(lines)
                except KubernetesError as error:
                    self.evidence.absent.append(f"logs/{where}: {error}")

    async def version(self) -> None:
        try:
            self.evidence.documents["cluster.yaml"] = {"version": await self._client.version()}
        except KubernetesError as error:
            self.evidence.absent.append(f"version of the API server: {error}")
