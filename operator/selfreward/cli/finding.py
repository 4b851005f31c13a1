"""The run that a user means, by its name, its file, or what kubectl printed of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from selfreward_steps.errors import StepError
from selfreward_steps.store import Store, open_store

from selfreward.api import SelfRewardRun
from selfreward.api.yaml_text import NotYaml, read_document
from selfreward.cli.errors import FAILED, CommandError
from selfreward.cli.place import HERE, Place
from selfreward.cluster.local.record import RecordUnreadable, RunFolder
from selfreward.render import store_config


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run with its status; `folder` is None when it is none of this machine's."""

    run: SelfRewardRun
    folder: Path | None

    def open_store(self, uri: str | None = None) -> Store:
        """Its store, or the one at `uri`. Raises CommandError."""
        try:
            if uri is not None:
                return open_store(uri)
            storage = self.run.spec.storage
            if storage.uri is None and self.run.status.artifacts:
                # The operator's default; its endpoint, if it has one, is the environment's to say.
                return open_store(self.run.status.artifacts, endpoint_url=storage.endpoint_url, region=storage.region)
            if storage.uri is None:
                name = self.run.metadata.name
                raise CommandError([f"{name}: spec.storage.uri is empty: say with --store where its artifacts lie"])
            config = store_config(self.run)
            return open_store(config.uri, endpoint_url=config.endpoint_url, region=config.region)
        except StepError as error:
            raise CommandError([f"{error.reason}: {error}"], FAILED) from error


def found(reference: str, workdir: Path, place: Place = HERE) -> FoundRun:
    """Raises CommandError when there is no such run.

    `reference` is a run's name in `workdir` or, where `place` is one, on a cluster; its file; or a file (`-` is
    standard input) with the resource as `kubectl get -o json` or `-o yaml` prints it. What has a status is the latter.
    """
    if reference == "-":
        return FoundRun(_resource("standard input", sys.stdin.buffer.read().decode(errors="replace")), None)
    path = Path(reference)
    if not path.is_file() and place.is_cluster:
        from selfreward.cli.cluster.asking import read_run  # needs a client that this machine may not have

        return FoundRun(read_run(place, reference), None)
    if not path.is_file():
        return _recorded(reference, workdir)
    document = _parsed(reference, path.read_text(encoding="utf-8", errors="replace"))
    if document.get("status"):
        return FoundRun(_validated(reference, document), None)
    match document:
        case {"metadata": {"name": str(name)}}:
            pass
        case _:
            raise CommandError([f"{reference}: holds no SelfRewardRun with a name"])
    return found(name, workdir, place) if place.is_cluster else _recorded(name, workdir)


def _recorded(name: str, workdir: Path) -> FoundRun:
    folder = RunFolder(workdir, name)
    try:
        run = folder.load()
    except RecordUnreadable as error:
        raise CommandError([str(error)]) from error
    if run is None:
        raise CommandError([f"{name}: no such run in {workdir}: selfreward list shows those there are"])
    return FoundRun(run, folder.path)


def _resource(where: str, text: str) -> SelfRewardRun:
    return _validated(where, _parsed(where, text))


def _parsed(where: str, text: str) -> dict[str, Any]:
    """JSON is YAML, so one parser reads both."""
    try:
        document = read_document(text.encode())
    except NotYaml as error:
        raise CommandError([f"{where}: neither YAML nor JSON of a SelfRewardRun: {error}"]) from error
    if str(document.get("kind", "")).endswith("List"):
        raise CommandError([f"{where}: holds a list: name one run, as in kubectl get selfrewardrun NAME -o json"])
    return document


def _validated(where: str, document: dict[str, Any]) -> SelfRewardRun:
    try:
        return SelfRewardRun.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CommandError([f"{where}: {place}: {first['msg']}: no SelfRewardRun of this version"]) from error
