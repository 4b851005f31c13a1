"""The whole fake cluster: API server, controllers, kubelet, and an administrator's hand in it all."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml
from kubernetes.aio import client as kubernetes_client

from kube.api import Api
from kube.behaviour import Playbook
from kube.clock import Clock
from kube.controllers import Controller, Machinery
from kube.deleting import DeleteOptions
from kube.faults import FaultPlan
from kube.garbage import GarbageCollector
from kube.kinds import BY_NAME, Kind, Propagation
from kube.requests import Logged, RequestLog
from kube.selectors import label_selector
from kube.server import Server
from kube.simulators.artifacts import AfterCommit
from kube.simulators.deployments import DeploymentController, ReplicaSetController
from kube.simulators.engines import Held
from kube.simulators.jobs import JobController
from kube.simulators.kubelet import Kubelet
from kube.simulators.pytorchjobs import PyTorchJobController
from kube.simulators.trainjobs import TrainJobController
from kube.storage import Object, copied
from kube.writing import Actor

CRD_FILE: Final = Path(__file__).parents[2] / "crds" / "selfreward.dev_selfrewardruns.yaml"
ADMIN: Final = Actor("admin")
TOKEN: Final = "anybody"
Objects = list[Object]


@functools.cache
def _definition() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(CRD_FILE.read_text(encoding="utf-8"))
    return loaded


class FakeCluster:
    """See the package's docstring. An async context manager, to be entered in the loop that is tested."""

    def __init__(
        self,
        folder: Path,
        *,
        namespaces: Iterable[str] = ("default", "research"),
        absent: Iterable[str] = (),
        controllers: bool = True,
    ) -> None:
        """`folder` gets the kubeconfig; `absent` kinds are not installed; without `controllers` nothing moves."""
        self.kubeconfig = folder / "kubeconfig.yaml"
        self._namespaces = tuple(namespaces)
        self._absent = tuple(absent)
        self._has_controllers = controllers
        self._controllers: list[Controller[Any]] = []
        self.engines: Mapping[str, Held] = {}
        """What kept engines hold, by pod."""
        self._clients: list[kubernetes_client.ApiClient] = []
        self.playbook = Playbook()
        self.faults = FaultPlan()
        self.after_commit: list[AfterCommit] = []

    async def __aenter__(self) -> Self:
        self.clock = Clock()
        self.api = Api(self.clock, self._absent)
        for namespace in self._namespaces:
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        if "SelfRewardRun" in self.api.installed:
            self.create(_definition())
        self._machinery = Machinery(
            self.api.storage,
            self.api.writer,
            self.api.deleter,
            self.clock,
            self.api.identities,
            self.api.kind_of,
        )
        if self._has_controllers:
            self._start_controllers()
        self._server = Server(self.api, self.faults, self._machinery.failures)
        await self._server.start()
        self.kubeconfig.write_text(yaml.safe_dump(self._kubeconfig()), encoding="utf-8")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            await client.close()
        for controller in self._controllers:
            controller.stop()
        await self._server.stop()
        if self._machinery.failures and error is None:
            raise self._machinery.failures[0]

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return self._server.url

    def refuse_pods(self, why: Callable[[Object], str]) -> None:
        """From now on a pod that a controller makes is refused, as by a quota, where `why` says anything."""
        self._machinery.refuses = why

    @property
    def requests(self) -> RequestLog:
        """Every HTTP request so far."""
        return self._server.requests

    @property
    def after_write(self) -> list[Callable[[Logged], None]]:
        """Hooks called after each committed HTTP write, before its answer."""
        return self._server.after_write

    @property
    def warnings(self) -> list[str]:
        """Unknown fields that clients sent: a manifest of ours should cause none."""
        return self._server.warnings

    @property
    def training_operator_down(self) -> bool:
        """Whether the training operator's webhook is out of reach."""
        return self.api.admission.training_operator_down

    @training_operator_down.setter
    def training_operator_down(self, down: bool) -> None:
        self.api.admission.training_operator_down = down

    def client(self, user_agent: str = "operator") -> kubernetes_client.ApiClient:
        """A `kubernetes.aio` client of this cluster, closed with it."""
        configuration = kubernetes_client.Configuration(host=self.url)
        configuration.api_key = {"BearerToken": f"Bearer {TOKEN}"}
        client = kubernetes_client.ApiClient(configuration)
        client.user_agent = user_agent
        self._clients.append(client)
        return client

    def kopf_credentials(self) -> Any:
        """What a `kopf.on.login` handler returns."""
        import kopf  # 0.5 s that a test without kopf need not pay

        return kopf.ConnectionInfo(server=self.url, token=TOKEN)

    def install(self, kind: str) -> None:
        """Install a kind that was absent."""
        self.api.installed[kind] = BY_NAME[kind]

    def uninstall(self, kind: str) -> None:
        """Take a kind away, with all its objects: its CRD was deleted."""
        for item in list(self.api.storage.peek(BY_NAME[kind])):
            self.api.storage.remove(BY_NAME[kind], item)
        del self.api.installed[kind]

    def get(self, kind: str, name: str, namespace: str = "default") -> Object | None:
        """A copy of one object, None when it is absent."""
        return self.api.storage.get(BY_NAME[kind], self._home(BY_NAME[kind], namespace), name)

    def list(self, kind: str, namespace: str | None = None, labels: str = "") -> Objects:
        """Copies of all objects of the kind that the label selector matches."""
        matches = label_selector(labels)
        found = [item for item in self.api.storage.peek(BY_NAME[kind], namespace) if matches(item)]
        return [self.api.storage.get(BY_NAME[kind], *_address(item)) or {} for item in found]

    def peek(self, kind: str) -> Iterator[Object]:
        """All objects of the kind as they are stored: to be read, never to be changed or kept."""
        return self.api.storage.peek(BY_NAME[kind])

    def create(self, manifest: Mapping[str, Any]) -> Object:
        """Create as an administrator would; ApiError as kubectl would show it."""
        kind = BY_NAME[manifest["kind"]]
        namespace = self._home(kind, manifest["metadata"].get("namespace", "default"))
        return copied(self.api.writer.create(kind, namespace, dict(manifest), ADMIN))

    def edit(
        self,
        kind: str,
        name: str,
        change: Callable[[Object], object],
        namespace: str = "default",
        subresource: str = "",
    ) -> Object:
        """Change an object in place with `change`, as `kubectl edit` would."""

        def changed(item: Object) -> Object:
            change(item)
            return item

        home = self._home(BY_NAME[kind], namespace)
        return copied(self.api.writer.patch(BY_NAME[kind], home, name, changed, ADMIN, subresource))

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str = "default",
        propagation: Propagation = Propagation.BACKGROUND,
        grace: int | None = None,
    ) -> None:
        """Delete as `kubectl delete` does: in the background unless said otherwise."""
        home = self._home(BY_NAME[kind], namespace)
        self.api.deleter.delete(BY_NAME[kind], home, name, DeleteOptions(propagation, grace))

    def compact(self) -> None:
        """Forget history: watches that resume from now-old versions get 410."""
        self.api.storage.compact()

    def gpu_pods(self) -> Objects:
        """Pods that hold a GPU: bound to a node, asking for one, not ended."""
        return [pod for pod in self.peek("Pod") if _asks_for_gpu(pod) and _is_bound(pod)]

    async def until(self, holds: Callable[[], object], timeout: float = 600, *, every: float = 1) -> None:
        """Let time pass until `holds()` is true; TimeoutError after `timeout` virtual seconds.

        Looked at after every change of an object and, for what is not an object, `every` so many seconds.
        """
        ends = self.clock.seconds + timeout
        changed = asyncio.Event()
        stop = self.api.storage.listen(lambda change: changed.set())
        try:
            while not holds():
                if self._machinery.failures:
                    raise self._machinery.failures[0]
                if self.clock.seconds >= ends:
                    raise TimeoutError(f"not so after {timeout} s: {getattr(holds, '__name__', holds)}")
                changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await changed.wait()
        finally:
            stop()

    async def idle(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    def _start_controllers(self) -> None:
        kubelet = Kubelet(self._machinery, self.playbook, self.api.logs, self.after_commit)
        self.engines = kubelet.engines
        self._controllers = [
            GarbageCollector(self._machinery),
            JobController(self._machinery),
            DeploymentController(self._machinery),
            ReplicaSetController(self._machinery),
            PyTorchJobController(self._machinery),
            TrainJobController(self._machinery),
            kubelet,
        ]

    def _home(self, kind: Kind, namespace: str) -> str:
        return namespace if kind.namespaced else ""

    def _kubeconfig(self) -> dict[str, Any]:
        context = {"cluster": "fake", "user": "anybody", "namespace": "default"}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "anybody", "user": {"token": TOKEN}}],
            "contexts": [{"name": "fake", "context": context}],
        }


def _address(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _asks_for_gpu(pod: Object) -> bool:
    limits = [container.get("resources", {}).get("limits") or {} for container in pod["spec"]["containers"]]
    return bool(pod["spec"].get("resourceClaims")) or any(int(limit.get("nvidia.com/gpu", 0)) > 0 for limit in limits)


def _is_bound(pod: Object) -> bool:
    return bool(pod["spec"].get("nodeName")) and pod["status"].get("phase") not in ("Succeeded", "Failed")
