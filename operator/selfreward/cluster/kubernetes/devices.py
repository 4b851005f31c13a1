"""What becomes of a server's engine on this cluster while training has its turn, and the devices that both share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from selfreward.api import Keeping, SelfRewardRun, SelfRewardRunSpec, ServingKeep
from selfreward.cluster.kubernetes.client import KubernetesClient
from selfreward.plan import RunEvent
from selfreward.plan.types import EventReason
from selfreward.render import device_claim
from selfreward.render.devices import RESOURCE_CLAIMS

_LOOK: Final = timedelta(seconds=60)
"""Between two looks whether a cluster that has no resource claims has them now."""


class Devices:
    """The devices that the server and the training of one run share, where the cluster has such claims."""

    def __init__(self, client: KubernetesClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._serves = False
        self._looked: datetime | None = None

    async def are_shared(self, run: SelfRewardRun) -> bool:
        """Whether this run's server and training share devices: its spec names a class, and the cluster has claims."""
        if run.spec.serving.device_class_name is None:
            return False
        if not self._serves and (self._looked is None or self._now() - self._looked >= _LOOK):
            self._serves = await self._client.serves(RESOURCE_CLAIMS)
            self._looked = self._now()
        return self._serves

    async def claim(self, run: SelfRewardRun) -> None:
        """Make the run's claim. It is never read: one that is there is this run's, by its name."""
        await self._client.create_if_absent(RESOURCE_CLAIMS, device_claim(run))

    def cautions(self, spec: SelfRewardRunSpec) -> Iterator[RunEvent]:
        """What the spec asks for and will not get, said when the run begins."""
        serving = spec.serving
        if serving.device_class_name is not None and not self._serves:
            message = (
                f"spec.serving.deviceClassName: {serving.device_class_name}: the cluster does not serve "
                f"{RESOURCE_CLAIMS.api_version}: servers and training ask for GPUs in turns, and each model's server "
                "is started anew"
            )
            yield RunEvent(EventReason.ENGINE_NOT_KEPT, message, warning=True)
        if serving.keep is ServingKeep.AWAKE and not spec.serving.runs_vllm:
            message = "spec.serving.keep: awake: only vLLM, started by its own command, takes another model's weights"
            yield RunEvent(EventReason.ENGINE_NOT_KEPT, message, warning=True)


def keeping_of(spec: SelfRewardRunSpec, *, shares: bool) -> Keeping:
    """What becomes of an engine between two turns. Whether GPUs suffice for both, only the user knows."""
    if spec.serving.keep is ServingKeep.NEVER or not spec.serving.runs_vllm:
        return Keeping.NEVER
    if spec.serving.keep is ServingKeep.AWAKE:
        return Keeping.AWAKE
    return Keeping.ASLEEP if shares else Keeping.NEVER
