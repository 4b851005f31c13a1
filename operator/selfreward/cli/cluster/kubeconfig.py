"""The kubeconfig that a command reads, and what is wrong with it in one line.

It is looked at before the client's own reader, which logs twice for a file that is not there and ends in a traceback
for one that is no kubeconfig.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from selfreward.cli.errors import CommandError
from selfreward.cli.place import Place

_DEFAULT: Final = "~/.kube/config"


def kubeconfig(place: Place) -> str | None:
    """The files, as KUBECONFIG has them; None in a pod without any, whose service account is meant.

    Raises CommandError.
    """
    named = os.environ.get("KUBECONFIG") or _DEFAULT
    files = [Path(each).expanduser() for each in named.split(os.pathsep) if each]
    found = [file for file in files if file.is_file()]
    if not found:
        if os.environ.get("KUBERNETES_SERVICE_HOST") and place.context is None:
            return None
        raise CommandError([f"no kubeconfig: {named} is not there: set KUBECONFIG to the file of your cluster"])
    contexts = {name: context for file in found for name, context in _contexts(file)}
    if place.context is not None and place.context not in contexts:
        there = ", ".join(sorted(contexts)) or "none"
        raise CommandError([f"--context {place.context}: not in {named} (there are: {there})"])
    return os.pathsep.join(map(str, found))


def _contexts(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        document = yaml.safe_load(file.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandError([f"{file}: no kubeconfig: not YAML: {' '.join(str(error).split())}"]) from error
    except OSError as error:
        raise CommandError([f"{file}: {error.strerror}"]) from error
    match document:
        case {"contexts": list(contexts)}:
            yield from ((str(each["name"]), each) for each in contexts if isinstance(each, dict) and "name" in each)
        case dict():
            return
        case _:
            raise CommandError([f"{file}: no kubeconfig: is empty or no mapping"])
