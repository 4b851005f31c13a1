"""The logs of a step's pods on a cluster."""

from __future__ import annotations

from selfreward.api import SelfRewardRun, StepStatus
from selfreward.cli.cluster.asking import ask
from selfreward.cli.place import Place
from selfreward.cluster.kubernetes import KubernetesClient, KubernetesError
from selfreward.cluster.kubernetes.pods import main_container, shard_of
from selfreward.cluster.kubernetes.resources import PODS, name_of
from selfreward.render.metadata import ATTEMPT, KEY, RUN_UID


def read_logs(place: Place, run: SelfRewardRun, row: StepStatus, tail: int) -> dict[str, list[str]]:
    """The last lines of each pod of the step's newest attempt, by pod; of one that has none, why."""
    labels = f"{RUN_UID}={run.metadata.uid},{KEY}={row.key},{ATTEMPT}={row.attempt}"

    async def read(client: KubernetesClient, home: str) -> dict[str, list[str]]:
        pods = sorted((await client.list(PODS, home, labels)).items, key=lambda pod: (shard_of(pod), name_of(pod)))
        found = {}
        for pod in pods:
            try:
                text = await client.log(home, name_of(pod), main_container(pod), tail)
            except KubernetesError as error:
                text = f"no log: {error}"
            found[name_of(pod)] = text.splitlines()
        return found

    return ask(place, run.metadata.name, read)
