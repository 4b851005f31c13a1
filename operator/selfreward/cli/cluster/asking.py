"""A question to the API server of a cluster, through the kubeconfig, with every other answer as one line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import ValidationError

from selfreward.api import SelfRewardRun
from selfreward.cli.cluster.kubeconfig import kubeconfig
from selfreward.cli.displays.terminal import echo
from selfreward.cli.errors import FAILED, CommandError
from selfreward.cli.place import Place

try:
    from kubernetes.aio.client import ApiClient
    from kubernetes.aio.config import ConfigException, list_kube_config_contexts

    from selfreward.cluster.kubernetes import KubernetesClient, KubernetesError, NotFound, Unavailable
    from selfreward.cluster.kubernetes.resources import RUNS, Object, name_of
    from selfreward.control.credentials import load_configuration
except ImportError as error:
    raise CommandError([f"{error.name} is not installed: pip install 'selfreward[operator]'"]) from error

Found = TypeVar("Found")
Question = Callable[[KubernetesClient, str], Awaitable[Found]]
"""Asks the client about a namespace."""


class NoSuchRun(CommandError):
    """The cluster has no run of that name where it was looked for."""


class Unanswered(CommandError):
    """The API server did not answer, which may pass."""


def ask(place: Place, name: str, question: Question[Found]) -> Found:
    """The answer about run `name`, asked of the namespace that it is in.

    Raises CommandError for every answer but the one that was hoped for.
    """

    async def asked(client: KubernetesClient, home: str) -> Found:
        return await question(client, await _namespace(client, name) if place.everywhere else home)

    return _answer(place, name, asked, "no such run in namespace {home} (-n names another)")


def read_run(place: Place, name: str) -> SelfRewardRun:
    """The run of that name."""
    item = ask(place, name, lambda client, home: client.get(RUNS, home, name))
    return parsed(item)


def read_runs(place: Place) -> list[SelfRewardRun]:
    """All runs of the namespace, or of all; one that another version wrote is told of and left out."""

    async def listed(client: KubernetesClient, home: str) -> list[Object]:
        return (await client.list(RUNS, None if place.everywhere else home)).items

    runs = []
    for item in _answer(place, "runs", listed, "this cluster has no SelfRewardRun: is the operator installed?"):
        try:
            runs.append(parsed(item))
        except CommandError as error:
            echo(error.lines[0], err=True)
    return runs


def parsed(item: Object) -> SelfRewardRun:
    """The run in a resource; raises CommandError for one of another version."""
    kept = ("apiVersion", "kind", "metadata", "spec", "status")
    try:
        return SelfRewardRun.model_validate({key: item[key] for key in kept if key in item})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        name = f"{item['metadata']['namespace']}/{name_of(item)}"
        raise CommandError([f"{name}: {where}: {first['msg']}: no SelfRewardRun of this version"]) from error


async def _namespace(client: KubernetesClient, name: str) -> str:
    items = (await client.list(RUNS, None, fields=f"metadata.name={name}")).items
    homes = sorted(str(item["metadata"]["namespace"]) for item in items)
    match homes:
        case []:
            raise NoSuchRun([f"{name}: no such run in any namespace"])
        case [home]:
            return home
        case _:
            raise CommandError([f"{name}: in several namespaces: {', '.join(homes)}: name one with -n"])


def _answer(place: Place, subject: str, question: Question[Found], not_found: str) -> Found:
    files = kubeconfig(place)

    async def asked() -> Found:
        configuration = await load_configuration(files, place.context)
        async with ApiClient(configuration) as api:
            return await question(KubernetesClient(api), home)

    try:
        home = place.namespace or _home(files, place.context)
        return asyncio.run(asked())
    except ConfigException as error:
        raise CommandError([f"{files}: no kubeconfig: {' '.join(str(error).split())}"]) from error
    except NotFound as error:
        raise NoSuchRun([f"{subject}: {not_found.format(home=home)}"]) from error
    except Unavailable as error:
        raise Unanswered([f"the API server cannot be asked: {error}"], FAILED) from error
    except KubernetesError as error:
        raise CommandError([f"{subject}: {error}"]) from error


def _home(files: str | None, context: str | None) -> str:
    """The namespace of the context, as `kubectl` has it."""
    if files is None:
        return "default"
    contexts, active = list_kube_config_contexts(files)
    if context is not None:
        active = next((each for each in contexts if each["name"] == context), None)
    return str((active or {}).get("context", {}).get("namespace") or "default")
