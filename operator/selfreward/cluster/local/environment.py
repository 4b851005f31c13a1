"""A container's environment on this machine, by Kubernetes' rules.

The machine's own environment stands in for the image's. What the manifest says comes on top, with `$(NAME)`
expanded, Services found on the loopback interface and Secrets read from environment variables.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_REFERENCE: Final = re.compile(r"\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)")


class MissingSecret(Exception):
    """A Secret's key that no environment variable gives; the message says which would."""


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine as it differs from what a manifest says."""

    variables: Mapping[str, str]
    """Values that take the place of the manifest's, where it names these variables, and are set where not."""
    services: Mapping[str, int]
    """Local port by `service:port`."""
    secrets: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Values of Secrets that the operator would have made, by name and key."""


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Kubernetes' expansion: `$(NAME)` of a known variable, `$$` for one `$`; anything else stays as it is."""

    def replaced(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        return variables.get(match.group(1), match.group())

    return _REFERENCE.sub(replaced, text)


def container_environment(container: Mapping[str, Any], machine: Machine) -> dict[str, str]:
    """Every variable of the container's process; raises :class:`MissingSecret`."""
    own: dict[str, str] = {}
    for entry in container.get("env", []):
        name = entry["name"]
        if name in machine.variables:
            own[name] = machine.variables[name]
        elif "valueFrom" in entry:
            own[name] = _from_source(name, entry["valueFrom"], machine.secrets)
        else:
            own[name] = _local_addresses(expand(entry.get("value", ""), own), machine.services)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SELFREWARD_")}
    # python3 and its programs are the ones this runner itself runs with.
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
    return {**inherited, "PATH": path, **own, **machine.variables}


def container_command(container: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """The container's command line, with `$(NAME)` expanded."""
    words = [*container.get("command", []), *container.get("args", [])]
    program, *rest = [expand(word, environment) for word in words]
    return [sys.executable if program in ("python", "python3") else program, *rest]


def secret_variables(name: str, key: str) -> tuple[str, str]:
    """The environment variables that stand for a Secret's key, in order: `NAME_KEY`, then the key itself."""
    return _variable(f"{name}_{key}"), key if key.isupper() else _variable(key)


def secret_value(name: str, key: str) -> str | None:
    """What the environment gives for a Secret's key."""
    for variable in secret_variables(name, key):
        if os.environ.get(variable):
            return os.environ[variable]
    return None


_KINDS: Final = {"secretKeyRef": "secret", "configMapKeyRef": "ConfigMap"}


def _from_source(variable: str, source: Mapping[str, Any], secrets: Mapping[tuple[str, str], str]) -> str:
    ref = source.get("secretKeyRef") or source.get("configMapKeyRef")
    if ref is None:
        kind = next(iter(source), "nothing")
        raise MissingSecret(f"variable {variable}: valueFrom.{kind} means nothing on one machine: give it a value")
    found = secrets.get((ref["name"], ref["key"])) or secret_value(ref["name"], ref["key"])
    if found is None and not ref.get("optional"):
        first, second = secret_variables(ref["name"], ref["key"])
        raise MissingSecret(
            f"{_KINDS[next(iter(source))]} {ref['name']}, key {ref['key']}: on one machine it is read from the "
            "environment: "
            f"set {first} or {second}"
        )
    return found or ""


def _local_addresses(text: str, services: Mapping[str, int]) -> str:
    for service, port in services.items():
        text = text.replace(f"//{service}/", f"//127.0.0.1:{port}/")
    return text


def _variable(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", text.upper())
