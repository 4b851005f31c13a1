"""Kubernetes as a :class:`selfreward.cluster.protocol.Cluster`: where the children of all runs are seen and made.

What is observed comes from the cache that watches and lists feed; before something is taken to be lost, or is
created, the API server itself is asked, for a cache may be behind.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from selfreward_steps.contract import StoreConfig
from selfreward_steps.store import Store, open_store

from selfreward.api import SelfRewardRun, StepState
from selfreward.cluster.commits import Commits, Found
from selfreward.cluster.kubernetes.cache import Cache
from selfreward.cluster.kubernetes.children import RunObjects, observed_children, place_of
from selfreward.cluster.kubernetes.client import KubernetesClient
from selfreward.cluster.kubernetes.errors import Conflict, NotFound, Occupied
from selfreward.cluster.kubernetes.logs import PodLogs
from selfreward.cluster.kubernetes.obstacles import obstacles, waiting
from selfreward.cluster.kubernetes.pods import is_over
from selfreward.cluster.kubernetes.resources import (
    DEPLOYMENTS,
    JOBS,
    NETWORK_POLICIES,
    OPTIONAL,
    PODS,
    SECRETS,
    Object,
    View,
    is_going,
    label_of,
    name_of,
    resource_of,
    uid_of,
)
from selfreward.cluster.kubernetes.training import cautions, choose
from selfreward.cluster.kubernetes.warnings import Warnings
from selfreward.cluster.protocol import ActionRefused
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
    RunEvent,
)
from selfreward.render import (
    Images,
    Manifest,
    has_own_key,
    key_secret,
    network_policy,
    serving_manifests,
    step_manifest,
    store_config,
    training_manifests,
)
from selfreward.render.metadata import COMPONENT, KEY, MODEL
from selfreward.render.resource import Resource

_WORKLOADS: Final = (JOBS, DEPLOYMENTS, *OPTIONAL)
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
        self._warnings = Warnings(client, now)
        self._stores = stores or Stores()
        self._commits: dict[str, tuple[StoreConfig, Commits]] = {}
        self.served: Collection[Resource] = ()
        """Which of the optional resource types the cluster has; kept up to date by whoever watches."""

    async def observe(self, run: SelfRewardRun, graph: Graph, artifacts: Mapping[str, int | None]) -> Observed:
        await self._ask_for_missing(run, graph)
        await self._logs.read(list(_speaking(run, self._objects(run).pods)))
        await self._warnings.read(run.metadata.namespace, waiting(self._objects(run)))
        # Once more: reading took its time. The commits come after the children, so that what one of them
        # committed before it ended is sure to be seen.
        objects = self._objects(run)
        children = tuple(observed_children(run, graph, objects, self._logs.heard, self._images))
        found = await self._observe_commits(run, graph, artifacts)
        return Observed(
            children=children,
            committed=found.committed,
            measured=found.measured,
            shards_committed=found.shards,
            obstacles=tuple(obstacles(run, objects, self._warnings)),
        )

    async def create_step(self, run: SelfRewardRun, node: Node, create: CreateStep) -> None:
        if node.kind is ChildKind.TRAINING:
            # Made before the cluster served, or stopped serving, another type: one child an attempt.
            if any(self._cache.find(each, run.metadata.uid, create.name) is not None for each in OPTIONAL):
                return
            backend = choose(run.spec.training.backend, self.served)
            manifests = training_manifests(run, node, create, self._images, backend)
        else:
            manifests = [step_manifest(run, node, create, self._images)]
        for manifest in manifests:
            await self._apply(run, manifest)

    async def create_serving(self, run: SelfRewardRun, create: CreateServing) -> None:
        await self._guard(run)
        deployment, service = serving_manifests(run, create, self._images)
        await self._apply(run, service)
        await self._apply(run, deployment)

    async def assign(self, run: SelfRewardRun, assign: AssignModel) -> None:
        # What is observed here says that no engine is kept, so nothing can have been decided about one.
        raise ActionRefused(f"{assign.name}: engines are not kept on a cluster")

    async def delete(self, run: SelfRewardRun, child: DeleteChild) -> None:
        namespace, run_uid = run.metadata.namespace, run.metadata.uid
        for resource in _WORKLOADS:
            found = self._cache.find(resource, run_uid, child.name)
            if found is not None and uid_of(found) == child.uid:
                await self._delete(resource, namespace, found)
                return
        for pod in self._pods(namespace, run_uid):
            if child.uid == f"pods-of-{uid_of(pod)}":
                await self._delete_leftovers(namespace, run_uid, pod)

    async def remove_children(self, namespace: str, run_uid: str) -> bool:
        """Delete whatever a run has, whose spec need not be readable; returns whether anything is still there."""
        workloads = [
            (resource, item)
            for resource in _WORKLOADS
            for item in self._cache.of_run(resource, run_uid)
            if _belongs(item, namespace, run_uid)
        ]
        pods = [pod for pod in self._pods(namespace, run_uid) if not is_over(pod)]
        # The pods of a workload go with it; those that are left without one go by themselves.
        for resource, item in workloads or [(PODS, pod) for pod in pods]:
            if not is_going(item):
                await self._delete(resource, namespace, item)
        return bool(workloads or pods)

    def cautions(self, run: SelfRewardRun, graph: Graph) -> list[RunEvent]:
        """What will be in the way later, to be said when the run begins."""
        return list(cautions(run, graph, self.served))

    def keep(self, run_uids: Collection[str]) -> None:
        """Forget what is remembered of other runs, and of pods that are gone."""
        for uid in self._commits.keys() - run_uids:
            del self._commits[uid]
        self._logs.keep({uid_of(pod) for pod in self._cache.all(PODS)})
        self._warnings.keep({uid_of(item) for each in (PODS, *_WORKLOADS) for item in self._cache.all(each)})

    async def delete_artifacts(self, config: StoreConfig) -> None:
        """Delete all that lies in a run's own folder of the store, and its journals."""
        await self._stores.ask(config, lambda: self._open_store(config).delete(""))

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
        workloads = [item for each in _WORKLOADS for item in self._cache.of_run(each, uid)]
        return RunObjects([item for item in workloads if _belongs(item, namespace, uid)], self._pods(namespace, uid))

    def _pods(self, namespace: str, run_uid: str) -> list[Object]:
        """The pods that bear the run's labels in its namespace: elsewhere anybody may have put them on."""
        return [pod for pod in self._cache.of_run(PODS, run_uid) if pod["metadata"]["namespace"] == namespace]

    async def _ask_for_missing(self, run: SelfRewardRun, graph: Graph) -> None:
        """A child that status or its pods know and the cache does not is either gone or not heard of yet.

        Its pods, when the answer to its creation was lost: without it they would pass for what is left of it.
        """
        for kinds, name in self._expected(run, graph):
            if any(self._cache.find(each, run.metadata.uid, name) is not None for each in kinds):
                continue
            for resource in kinds:
                try:
                    found = await self._client.get(resource, run.metadata.namespace, name)
                except NotFound:
                    continue
                if _belongs(found, run.metadata.namespace, run.metadata.uid):
                    self._cache.put(resource, found)

    def _expected(self, run: SelfRewardRun, graph: Graph) -> Iterator[tuple[tuple[Resource, ...], str]]:
        populated = {place_of(pod) for pod in self._cache.of_run(PODS, run.metadata.uid)}
        for serving in run.status.servings:
            if serving.child_uid is not None or ("", serving.model, serving.attempt) in populated:
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
        elif not _belongs(found, namespace, run.metadata.uid):
            message = f"{resource.kind} {name_of(manifest)} exists and belongs to another: delete it or rename the run"
            raise Occupied(message, reason="NameTaken")
        self._cache.put(resource, found)

    async def _guard(self, run: SelfRewardRun) -> None:
        """Let nobody but the run's own steps ask its servers. Neither object is ever read: a Secret that is there is
        this run's, by its name, and a policy that is another's the API server does not let be taken over."""
        if has_own_key(run.spec.serving):
            try:
                await self._client.create(SECRETS, key_secret(run, secrets.token_urlsafe(32)))
            except Conflict as error:
                if error.reason != "AlreadyExists":
                    raise
        await self._client.apply(NETWORK_POLICIES, network_policy(run))

    async def _delete(self, resource: Resource, namespace: str, item: View) -> None:
        name, uid = name_of(item), uid_of(item)
        try:
            await self._client.delete(resource, namespace, name, uid)
        except NotFound:
            self._cache.remove(resource, item)
        except Conflict:
            # Another object of that name, or only a busy one: look, for what is forgotten is never seen again.
            if await self._is_there(resource, namespace, name, uid):
                raise
            self._cache.remove(resource, item)

    async def _is_there(self, resource: Resource, namespace: str, name: str, uid: str) -> bool:
        try:
            return uid_of(await self._client.get(resource, namespace, name)) == uid
        except NotFound:
            return False

    async def _delete_leftovers(self, namespace: str, run_uid: str, one: View) -> None:
        place = (label_of(one, KEY), label_of(one, MODEL))
        for pod in self._pods(namespace, run_uid):
            if (label_of(pod, KEY), label_of(pod, MODEL)) == place and not is_over(pod):
                await self._delete(PODS, namespace, pod)


def _speaking(run: SelfRewardRun, pods: Iterable[View]) -> Iterator[View]:
    """The pods of steps that are under way: what others have said has been heard, or is of no use any more."""
    rows = [row for iteration in run.status.iterations for row in iteration.steps]
    current = {(row.key, "", row.attempt) for row in rows if row.state in (StepState.STARTING, StepState.RUNNING)}
    return (pod for pod in pods if label_of(pod, COMPONENT) == "step" and place_of(pod) in current)


def _belongs(item: View, namespace: str, run_uid: str) -> bool:
    """Whether the run owns it. Who may create objects may write any label and any owner, in a namespace of his own."""
    metadata = item["metadata"]
    owners = metadata.get("ownerReferences") or []
    return metadata["namespace"] == namespace and any(owner["uid"] == run_uid for owner in owners)


def _opened(config: StoreConfig) -> Store:
    return open_store(config.uri, endpoint_url=config.endpoint_url, region=config.region, brief=True)
