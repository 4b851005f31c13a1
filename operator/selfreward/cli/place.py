"""The place where a command looks for runs: this machine's work directory, or a cluster and a namespace of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Place:
    """What `-n`, `--context` and `-A` say; each of them means a cluster."""

    namespace: str | None = None
    """None: the context's own."""
    context: str | None = None
    """None: the kubeconfig's current one."""
    everywhere: bool = False
    """All namespaces; wins over `namespace`, as with kubectl."""
    plugin: bool = False
    """As a plugin of kubectl, commands mean the cluster without being told."""

    @property
    def is_cluster(self) -> bool:
        """Whether a cluster is meant and not this machine."""
        return self.plugin or self.everywhere or self.namespace is not None or self.context is not None


HERE: Final = Place()
"""This machine."""
