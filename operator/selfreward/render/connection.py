"""What the user says of the way to the store, for the containers of ours in a pod that is the server's.

`workloads.serving` is the server's own, and its variables and mounts may be of no use to another image, or break it
(`PYTHONPATH`). What they say of proxies, certificates and AWS is the other way round: a server asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from selfreward.api import Workload
from selfreward.api.workloads import EnvironmentVariable

_NAMES: Final = re.compile(
    r"(HTTP|HTTPS|ALL|NO)_PROXY|AWS_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|SSL_CERT_(FILE|DIR)", re.IGNORECASE
)
_REFERENCE: Final = re.compile(r"\$\(([^)]+)\)")
"""How a value names an entry before it, which Kubernetes then puts in its place."""


def connected(workload: Workload) -> Workload:
    """The workload with nothing of the user's variables and mounts but what it takes to reach the store: proxies,
    certificates, what AWS's clients read, the variables that these refer to, and the mounts that they lead into."""
    wanted = {each["name"] for each in workload.env if _NAMES.fullmatch(each["name"])}
    env: list[EnvironmentVariable] = []
    # A reference is to an entry before it.
    for each in reversed(workload.env):
        if each["name"] in wanted:
            env.insert(0, each)
            wanted.update(_REFERENCE.findall(each.get("value", "")))
    places = [place for each in env for place in _places(each)]
    mounts = [mount for mount in workload.volume_mounts if any(_leads_into(place, mount) for place in places)]
    return workload.model_copy(update={"env": env, "volume_mounts": mounts})


def _places(variable: EnvironmentVariable) -> Iterator[PurePosixPath]:
    """The paths that a variable names; some hold several."""
    for part in variable.get("value", "").split(":"):
        if part.startswith("/") and not part.startswith("//"):
            yield PurePosixPath(part)


def _leads_into(place: PurePosixPath, mount: dict[str, Any]) -> bool:
    path = mount.get("mountPath")
    return isinstance(path, str) and place.is_relative_to(path)
