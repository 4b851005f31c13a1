"""This machine as a :class:`selfreward.cluster.protocol.Cluster`: the children of one run, as processes."""

from __future__ import annotations

import getpass
import secrets
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from selfreward_steps.contract import FailureClass, InputRef
from selfreward_steps.store import Store

from selfreward.api import SelfRewardRun, StepState
from selfreward.cluster.commits import Commits
from selfreward.cluster.local.child import Child, Identity
from selfreward.cluster.local.devices import IN_TURNS, Sharing
from selfreward.cluster.local.environment import MissingSecret
from selfreward.cluster.local.leftovers import kill_leftovers
from selfreward.cluster.local.manifests import Place, fetch_of, served_of, work_of
from selfreward.cluster.local.ports import free_port, is_free
from selfreward.cluster.local.process import Program
from selfreward.cluster.local.served import Served
from selfreward.cluster.local.stillborn import Stillborn
from selfreward.cluster.local.warming import TRAINING, VLLM, Warm
from selfreward.plan import (
    AssignModel,
    ChildKind,
    CreateServing,
    CreateStep,
    DeleteChild,
    Failure,
    Graph,
    Node,
    Observed,
    QuotaAction,
)
from selfreward.render import (
    SERVICE_PORT,
    Images,
    has_own_key,
    serving_key,
    serving_manifests,
    step_manifest,
    training_manifests,
)
from selfreward.render.training import PYTORCHJOB

_NOT_YET: Final = "sha256:" + 64 * "0"
"""The digest of what is not committed yet, where only the rest of a manifest matters."""


class LocalCluster:
    """The children of one run, by name.

    There must be one per folder at a time: the runner holds a lock on it. Creating it kills what an earlier
    runner left behind.
    """

    def __init__(self, folder: Path, store: Store, now: Callable[[], datetime], sharing: Sharing = IN_TURNS) -> None:
        """`folder` is the run's own in the work directory; `sharing` who has which of this machine's GPUs when."""
        self.folder = folder.resolve()
        self._sharing = sharing
        self.leftovers = kill_leftovers(str(self.folder))
        self._commits = Commits(store)
        self._now = now
        self._children: dict[str, Child] = {}
        self._ports: dict[str, int] = {}
        # Servers do not outlive their runner, so neither need their key.
        self._key = secrets.token_urlsafe(32)
        self._warm = Warm(self.folder / "warm", str(self.folder)) if sharing.warms else None

    async def observe(self, run: SelfRewardRun, graph: Graph, artifacts: Mapping[str, int | None]) -> Observed:
        self.refresh()
        self._warm_up(run, graph)
        # After the children: what one of them committed before it ended is then sure to be seen.
        found = await self._commits.observe(run, graph, artifacts)
        return Observed(
            children=tuple(child.observed() for child in self._children.values()),
            committed=found.committed,
            measured=found.measured,
            shards_committed=found.shards,
            keeping=self._sharing.keeping,
        )

    def refresh(self) -> None:
        """Look at every process; forget children that are deleted and gone."""
        now = self._now()
        for child in list(self._children.values()):
            child.refresh(now)
            if child.deleting and child.is_gone:
                del self._children[child.identity.name]
                shutil.rmtree(self._child_folder(child.identity.name) / "models", ignore_errors=True)

    @property
    def is_busy(self) -> bool:
        """Whether any process of a child is alive."""
        return not all(child.is_gone for child in self._children.values())

    async def create_step(self, run: SelfRewardRun, node: Node, create: CreateStep) -> None:
        identity = self._identity(create.name, node.kind, create.attempt, key=create.key)
        if node.kind is ChildKind.TRAINING:
            # Whatever backend the run names for a cluster: here both would be the same processes.
            (manifest,) = training_manifests(run, node, create, Images(), PYTORCHJOB)
        else:
            manifest = step_manifest(run, node, create, Images())
        self._add(run, identity, lambda place: work_of(identity, manifest, place))

    async def create_serving(self, run: SelfRewardRun, create: CreateServing) -> None:
        identity = self._identity(create.name, ChildKind.SERVING, create.attempt, model=create.model)
        deployment, service = serving_manifests(run, create, Images())
        port = self._port(service["metadata"]["name"])
        self._add(run, identity, lambda place: served_of(identity, deployment, place, port))

    async def assign(self, run: SelfRewardRun, assign: AssignModel) -> None:
        child = self._children.get(assign.name)
        if not isinstance(child, Served) or child.identity.uid != assign.uid or child.deleting:
            return
        if assign.model is None:
            child.assign(None, None, None)
            return
        create = CreateServing(assign.name, assign.model, assign.attempt, assign.digest, self._sharing.keeping)
        deployment, service = serving_manifests(run, create, Images())
        self._ports[service["metadata"]["name"]] = child.port
        fetch = fetch_of(assign.model, deployment, self._place(run, self._child_folder(assign.name)))
        child.assign(assign.model, fetch, assign.digest)

    async def settle_quota(self, run: SelfRewardRun, action: QuotaAction) -> None:
        raise NotImplementedError(f"{action}: this machine has no queue, and observes no quota")

    async def delete(self, run: SelfRewardRun, child: DeleteChild) -> None:
        found = self._children.get(child.name)
        if found is not None and found.identity.uid == child.uid:
            found.stop()

    def stop_all(self, grace: float | None = None) -> None:
        """Begin to end every child, as when the runner is told to stop; repeat with 0 to kill."""
        for child in self._children.values():
            child.stop(grace)
        self.close()

    def close(self) -> None:
        """End what only waits for a step that may come."""
        if self._warm is not None:
            self._warm.stop()

    def logs(self, name: str) -> list[Path]:
        """The log files of a child, also of one that is gone."""
        return sorted(self._child_folder(name).glob("*.log"))

    def _warm_up(self, run: SelfRewardRun, graph: Graph) -> None:
        """While something of the run is at work, import what its next training and a server to come will need."""
        if self._warm is None or not self.is_busy:
            return
        # Without a Secret they cannot be started later either, which is told then.
        with suppress(MissingSecret):
            self._warm_up_for(run, graph, self._warm)

    def _warm_up_for(self, run: SelfRewardRun, graph: Graph, warm: Warm) -> None:
        kinds = {child.identity.kind for child in self._children.values() if not child.is_gone}
        over = {row.key for each in run.status.iterations for row in each.steps if row.state is StepState.SUCCEEDED}
        left = [node for node in graph.nodes if node.key not in over]
        if ChildKind.TRAINING not in kinds and warm.lacks(TRAINING):
            training = next((node for node in left if node.kind is ChildKind.TRAINING), None)
            if training is not None:
                warm.prepare(TRAINING, self._training_program(run, training))
        if ChildKind.SERVING not in kinds and warm.lacks(VLLM):
            model = next((node.serving for node in left if node.serving is not None), None)
            if model is not None:
                warm.prepare(VLLM, self._server_program(run, model))

    def _training_program(self, run: SelfRewardRun, node: Node) -> Program:
        """The program of a training to come, but for its configuration."""
        inputs = {role: InputRef(artifact=artifact, digest=_NOT_YET) for role, artifact in node.inputs.items()}
        create = CreateStep("warm", node.key, 1, inputs)
        (manifest,) = training_manifests(run, node, create, Images(), PYTORCHJOB)
        identity = self._identity(create.name, node.kind, 1, key=node.key)
        return work_of(identity, manifest, self._place(run, self.folder, trains=True)).program

    def _server_program(self, run: SelfRewardRun, model: str) -> Program:
        """The program of a server to come, but for its model and address."""
        create = CreateServing("warm", model, 1, _NOT_YET, self._sharing.keeping)
        deployment, _ = serving_manifests(run, create, Images())
        identity = self._identity(create.name, ChildKind.SERVING, 1, model=model)
        return served_of(identity, deployment, self._place(run, self.folder), port=0).program

    def _add(self, run: SelfRewardRun, identity: Identity, build: Callable[[Place], Child]) -> None:
        if identity.name in self._children:
            return
        folder = self._child_folder(identity.name)
        # A runner that died between writing the intent and this left nothing alive in it, only files.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            child = build(self._place(run, folder, trains=identity.kind is ChildKind.TRAINING))
        except MissingSecret as error:
            child = Stillborn(identity, Failure(FailureClass.PERMANENT, "MissingSecret", str(error)))
        self._children[identity.name] = child
        child.refresh(identity.created_at)

    def _place(self, run: SelfRewardRun, folder: Path, *, trains: bool = False) -> Place:
        scratch = self.folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        home = {"HOME": str(Path.home()), "USER": getpass.getuser(), **self._sharing.variables(trains=trains)}
        services = {f"{name}:{SERVICE_PORT}": port for name, port in self._ports.items()}
        ref = serving_key(run) if has_own_key(run.spec.serving) else None
        own = {} if ref is None else {(ref.name, ref.key): self._key}
        return Place(folder, scratch, str(self.folder), home, services, own, self._warm)

    def _port(self, service: str) -> int:
        """The same for every attempt at a server while nobody else took it: running clients keep the address."""
        port = self._ports.get(service)
        if port is None or not is_free(port):
            port = self._ports[service] = free_port()
        return port

    def _identity(self, name: str, kind: ChildKind, attempt: int, *, key: str = "", model: str = "") -> Identity:
        return Identity(
            name=name, uid=str(uuid.uuid4()), kind=kind, attempt=attempt, created_at=self._now(), key=key, model=model
        )

    def _child_folder(self, name: str) -> Path:
        return self.folder / "children" / name
