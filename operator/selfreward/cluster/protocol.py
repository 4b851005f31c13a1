"""The interface of a cluster: what a walker needs of wherever workloads run: to look, create, assign and delete.

No method decides anything: what to create and when is :mod:`selfreward.plan`'s, what it looks like is
:mod:`selfreward.render`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from selfreward.api import SelfRewardRun
from selfreward.plan import (
    AssignModel,
    CreateServing,
    CreateStep,
    DeleteChild,
    Graph,
    Node,
    Observed,
    QuotaAction,
)


class ActionRefused(Exception):
    """A creation or deletion that will be refused again until somebody acts."""


class Cluster(Protocol):
    """A place where workloads run: the processes of this machine, or Kubernetes.

    Every method may be repeated: creating what is there and deleting what is gone are no errors. Creating and deleting
    raise :class:`ActionRefused`, and whatever else the place may answer.
    """

    async def observe(self, run: SelfRewardRun, graph: Graph, artifacts: Mapping[str, int | None]) -> Observed:
        """The run's children, and which of `artifacts` (with their number of shards) are committed.

        Raises InfrastructureError when the store or the API server is out of reach: nothing is known then, and
        nothing may be decided.
        """
        ...

    async def create_step(self, run: SelfRewardRun, node: Node, create: CreateStep) -> None:
        """Create the child of one attempt. A child of that name is left as it is."""
        ...

    async def create_serving(self, run: SelfRewardRun, create: CreateServing) -> None:
        """Create the server of a model. A server of that name is left as it is."""
        ...

    async def assign(self, run: SelfRewardRun, assign: AssignModel) -> None:
        """Tell a kept engine what to serve, or to sleep, if it still has that uid; what it was told before is dropped.

        Only where :attr:`Observed.keeping` says that engines are kept.
        """
        ...

    async def settle_quota(self, run: SelfRewardRun, action: QuotaAction) -> None:
        """Ask for the run's reservation, or give it back. Only where :attr:`Observed.quota` says that there are any."""
        ...

    async def delete(self, run: SelfRewardRun, child: DeleteChild) -> None:
        """Begin to delete a child, if it still has that uid; it is observed until its last process is gone."""
        ...
