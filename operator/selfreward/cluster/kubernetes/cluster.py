"""Kubernetes as a :class:`selfreward.cluster.protocol.Cluster`: where the children of all runs are seen and made.

What is observed comes from the cache that watches and lists feed; before something is taken to be lost, or is
created, the API server itself is asked, for a cache may be behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from selfreward_steps.contract import StoreConfig
from selfreward_steps.store import Store, open_store

from selfreward.api import Keeping, SelfRewardRun, StepState
from selfreward.cluster.commits import Commits, Found
from selfreward.cluster.kubernetes.cache import Cache
from selfreward.cluster.kubernetes.children import RunObjects, observed_children, place_of
from selfreward.cluster.kubernetes.client import KubernetesClient
from selfreward.cluster.kubernetes.devices import Devices, keeping_of
from selfreward.cluster.kubernetes.engines import Engines, engines_of, is_told
from selfreward.cluster.kubernetes.errors import NotFound, Occupied
from selfreward.cluster.kubernetes.guarding import guard
from selfreward.cluster.kubernetes.logs import PodLogs
from selfreward.cluster.kubernetes.obstacles import obstacles, waiting
from selfreward.cluster.kubernetes.removing import Removal, pods_of
from selfreward.cluster.kubernetes.reservations import Reservations
from selfreward.cluster.kubernetes.resources import (
    DEPLOYMENTS,
    JOBS,
    OPTIONAL,
    PODS,
    WORKLOADS,
    Object,
    View,
    belongs,
    is_going,
    label_of,
    name_of,
    resource_of,
    uid_of,
)
from selfreward.cluster.kubernetes.training import cautions, choose
from selfreward.cluster.kubernetes.warnings import Warnings
from selfreward.cluster.stores import Stores
from selfreward.plan import (
    AssignModel,
    ChildKind,
    CreateServing,
    CreateStep,
    DeleteChild,
    Graph,
    Node,
    Observed,
    QuotaAction,
    RunEvent,
)
from selfreward.render import (
    Images,
    Manifest,
    kept_manifests,
    model_service,
    serving_manifests,
    step_manifest,
    store_config,
    training_manifests,
)
from selfreward.render.metadata import COMPONENT, ENGINE
from selfreward.render.resource import Resource

_FEW_SHARDS: Final = 16
_PAUSE: Final = 5.0
"""Seconds between two look-ups of the same missing artifact, where there are many shards to look up."""


class KubernetesCluster:
    """The children of every run that the operator walks, as objects of Kubernetes."""

    def __init__(
        self,
        client: KubernetesClient,
        cache: Cache,
        images: Images,
        now: Callable[[], datetime],
        open_run_store: Callable[[StoreConfig], Store] | None = None,
        stores: Stores | None = None,
    ) -> None:
        self._client = client
        self._cache = cache
        self._images = images
        self._open_store = open_run_store or _opened
        self._logs = PodLogs(client, now)
        self._engines = Engines(client)
        self._removal = Removal(client, cache)
        self._devices = Devices(client, now)
        self._reservations = Reservations(client, now)
        self._warnings = Warnings(client, now)
        self._stores = stores or Stores()
        self._commits: dict[str, tuple[StoreConfig, Commits]] = {}
        self.served: Collection[Resource] = ()
        """Which of the optional resource types the cluster has; kept up to date by whoever watches."""

    async def observe(self, run: SelfRewardRun, graph: Graph, artifacts: Mapping[str, int | None]) -> Observed:
        quota = await self._reservations.look(run)
        run = self._reservations.placed(run)
        await self._ask_for_missing(run, graph)
        await self._engines.read(list(engines_of(self._objects(run).pods)))
        await self._warnings.read(run.metadata.namespace, waiting(self._objects(run)))
        # Once more after each: reading took its time, and of a pod that has ended the log's end counts. The commits
        # come after the children, so that what one of them committed before it ended is sure to be seen.
        while await self._logs.read(list(_speaking(run, (objects := self._objects(run)).pods))):
            pass
        children = tuple(observed_children(run, graph, objects, self._logs.heard, self._engines, self._images))
        found = await self._observe_commits(run, graph, artifacts)
        return Observed(
            children=children,
            committed=found.committed,
            measured=found.measured,
            shards_committed=found.shards,
            obstacles=tuple(obstacles(run, objects, self._warnings)),
            keeping=keeping_of(run.spec, shares=await self._devices.are_shared(run)),
            quota=quota,
        )

    async def create_step(self, run: SelfRewardRun, node: Node, create: CreateStep) -> None:
        run = self._reservations.placed(run)
        if node.kind is ChildKind.TRAINING:
            # Made before the cluster served, or stopped serving, another type: one child an attempt.
            if any(self._find(run, each, create.name) is not None for each in OPTIONAL):
                return
            backend = choose(run.spec.training.backend, self.served)
            shares = await self._shares(run)
            manifests = training_manifests(run, node, create, self._images, backend, shares=shares)
        else:
            manifests = [step_manifest(run, node, create, self._images)]
        for manifest in manifests:
            await self._apply(run, manifest)

    async def create_serving(self, run: SelfRewardRun, create: CreateServing) -> None:
        await guard(self._client, run)
        run = self._reservations.placed(run)
        shares = await self._shares(run)
        manifests = serving_manifests if create.keeping is Keeping.NEVER else kept_manifests
        deployment, service = manifests(run, create, self._images, shares=shares)
        await self._apply(run, service)
        await self._apply(run, deployment)

    async def assign(self, run: SelfRewardRun, assign: AssignModel) -> None:
        deployment = self._find(run, DEPLOYMENTS, assign.name)
        if deployment is None or uid_of(deployment) != assign.uid or is_going(deployment):
            return
        pods = engines_of(self._objects(run).pods)
        untold = [pod for pod in pods if label_of(pod, ENGINE) == assign.name and not is_told(pod, assign)]
        if untold and assign.model is not None:
            await self._apply(run, model_service(run, assign.model))
        for pod in untold:
            if (told := await self._engines.tell(run, assign, pod)) is not None:
                self._cache.put(PODS, told)

    async def settle_quota(self, run: SelfRewardRun, action: QuotaAction) -> None:
        await self._reservations.act(run, action)

    async def delete(self, run: SelfRewardRun, child: DeleteChild) -> None:
        await self._removal.child(run.metadata.namespace, run.metadata.uid, child)

    async def remove_children(self, namespace: str, run_uid: str) -> bool:
        """Delete whatever a run has, whose spec need not be readable; returns whether anything is still there."""
        return await self._removal.all(namespace, run_uid)

    def cautions(self, run: SelfRewardRun, graph: Graph) -> list[RunEvent]:
        """What will be in the way later, to be said when the run begins."""
        return [*cautions(run, graph, self.served), *self._devices.cautions(run.spec)]

    def keep(self, run_uids: Collection[str]) -> None:
        """Forget what is remembered of other runs, and of pods that are gone."""
        for uid in self._commits.keys() - run_uids:
            del self._commits[uid]
        self._reservations.keep(run_uids)
        for known in (self._logs, self._engines):
            known.keep({uid_of(pod) for pod in self._cache.all(PODS)})
        self._warnings.keep({uid_of(item) for each in (PODS, *WORKLOADS) for item in self._cache.all(each)})

    async def delete_artifacts(self, config: StoreConfig) -> None:
        """Delete all that lies in a run's own folder of the store, and its journals."""
        self._client.check_lead(config.uri)
        await self._stores.ask(config, lambda: self._open_store(config).delete(""))

    async def _shares(self, run: SelfRewardRun) -> bool:
        """Whether the run's devices are shared; its claim is made then."""
        shares = await self._devices.are_shared(run)
        if shares:
            await self._devices.claim(run)
        return shares

    async def _observe_commits(self, run: SelfRewardRun, graph: Graph, artifacts: Mapping[str, int | None]) -> Found:
        if not artifacts:
            return Found()
        config = store_config(run)
        known = self._commits.get(run.metadata.uid)
        if known is None or known[0] != config:
            store = await self._stores.open(config, self._open_store)
            pause = _PAUSE if run.spec.serving.generation_shards > _FEW_SHARDS else 0.0
            known = (config, Commits(store, ask=partial(self._stores.ask, config), pause=pause))
            self._commits[run.metadata.uid] = known
        return await known[1].observe(run, graph, artifacts)

    def _objects(self, run: SelfRewardRun) -> RunObjects:
        namespace, uid = run.metadata.namespace, run.metadata.uid
        workloads = [item for each in WORKLOADS for item in self._cache.of_run(each, uid)]
        own = [item for item in workloads if belongs(item, namespace, uid)]
        return RunObjects(own, pods_of(self._cache, namespace, uid))

    def _find(self, run: SelfRewardRun, resource: Resource, name: str) -> Object | None:
        return self._cache.find(resource, run.metadata.namespace, run.metadata.uid, name)

    async def _ask_for_missing(self, run: SelfRewardRun, graph: Graph) -> None:
        """A child that status or its pods know and the cache does not is either gone or not heard of yet.

        Its pods, when the answer to its creation was lost: without it they would pass for what is left of it.
        """
        for kinds, name in self._expected(run, graph):
            if any(self._find(run, each, name) is not None for each in kinds):
                continue
            for resource in kinds:
                try:
                    found = await self._client.get(resource, run.metadata.namespace, name)
                except NotFound:
                    continue
                if belongs(found, run.metadata.namespace, run.metadata.uid):
                    self._cache.put(resource, found)

    def _expected(self, run: SelfRewardRun, graph: Graph) -> Iterator[tuple[tuple[Resource, ...], str]]:
        populated = {place_of(pod) for pod in pods_of(self._cache, run.metadata.namespace, run.metadata.uid)}
        for serving in run.status.servings:
            places = {("", server, serving.attempt) for server in (serving.model, serving.child)}
            if serving.child_uid is not None or not places.isdisjoint(populated):
                yield (DEPLOYMENTS,), serving.child
        training = tuple(resource for resource in OPTIONAL if resource in self.served)
        for iteration in run.status.iterations:
            for row in iteration.steps:
                is_new = row.state is StepState.STARTING and (row.key, "", row.attempt) in populated
                if row.child is not None and (is_new or row.state is StepState.RUNNING):
                    node = graph.by_key.get(row.key)
                    trains = node is not None and node.kind is ChildKind.TRAINING
                    yield (training if trains else (JOBS,)), row.child

    async def _apply(self, run: SelfRewardRun, manifest: Manifest) -> None:
        """Create what is not there; what is there is adopted if it is the run's, and left as it is.

        Raises Occupied when it is somebody else's. The time between the look and the write is harmless: the API
        server refuses a second controlling owner.
        """
        resource, namespace = resource_of(manifest), run.metadata.namespace
        try:
            found: Object | None = await self._client.get(resource, namespace, name_of(manifest))
        except NotFound:
            found = None
        if found is None:
            found = await self._client.apply(resource, manifest)
        elif not belongs(found, namespace, run.metadata.uid):
            message = f"{resource.kind} {name_of(manifest)} exists and belongs to another: delete it or rename the run"
            raise Occupied(message, reason="NameTaken")
        self._cache.put(resource, found)


def _speaking(run: SelfRewardRun, pods: Iterable[View]) -> Iterator[View]:
    """The pods of steps that are under way: what others have said has been heard, or is of no use any more."""
    rows = [row for iteration in run.status.iterations for row in iteration.steps]
    current = {(row.key, "", row.attempt) for row in rows if row.state in (StepState.STARTING, StepState.RUNNING)}
    return (pod for pod in pods if label_of(pod, COMPONENT) == "step" and place_of(pod) in current)


def _opened(config: StoreConfig) -> Store:
    return open_store(config.uri, endpoint_url=config.endpoint_url, region=config.region, brief=True)
