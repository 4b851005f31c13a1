"""One pod from Pending to its end, as its script says.

Every status write goes through `_write`, which finds out that the pod is gone or being deleted; what a container
prints and commits is in `container_run`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from kube.behaviour import Behaviour, Blocked, Ending, StepPod
from kube.clock import parse, pause
from kube.deleting import DeleteOptions
from kube.errors import ApiError
from kube.kinds import POD
from kube.simulators import pod_status as status
from kube.simulators.container_run import ContainerRun, Ended
from kube.simulators.engines import Engine
from kube.simulators.needs import problem
from kube.storage import Object, key_of

if TYPE_CHECKING:
    from kube.simulators.kubelet import Kubelet

NODE: Final = "node-1"
INIT_SECONDS: Final = 0.5
BACK_OFF: Final = (10.0, 300.0)
"""First and longest CrashLoopBackOff; it doubles each time."""
RETRY_SECONDS: Final = 5.0
"""Between two looks for a Secret, ConfigMap or claim that is missing."""
NODE_LOSS_SECONDS: Final = 60.0
"""From the taint manager's deletion to the pod garbage collector's removal (really minutes; shorter here)."""


class _Gone(Exception):
    """The pod is no longer there."""


class PodLife:
    """Plays one script."""

    def __init__(self, kubelet: Kubelet, who: StepPod, does: Behaviour) -> None:
        self.kubelet = kubelet
        self.who = who
        self.does = does
        self.deleted = asyncio.Event()
        self.annotated = asyncio.Event()
        self._restarts = 0
        self._started = ""

    async def live(self) -> None:
        """Play to the end; returns early when the pod is deleted."""
        script = asyncio.ensure_future(self._script())
        deletion = asyncio.ensure_future(self.deleted.wait())
        try:
            await asyncio.wait([script, deletion], return_when=asyncio.FIRST_COMPLETED)
            if not script.done():
                script.cancel()
                await asyncio.wait([script])
                await self._terminate()
            elif script.exception() is not None:
                script.result()
        except _Gone:
            pass
        finally:
            script.cancel()
            deletion.cancel()

    async def _script(self) -> None:
        try:
            await self._start()
            while True:
                self._started = self._now()
                ended = await self._run_container()
                if not await self._after(ended):
                    return
        except _Gone:
            return

    async def _start(self) -> None:
        pod = self.who.pod
        missing = problem(self.kubelet.storage, pod)
        if Blocked.UNSCHEDULABLE not in (self.does.blocked, missing and missing[0]):
            self._bind()
        if self.does.blocked is not None:
            image = pod["spec"]["containers"][0].get("image", "")
            usual = status.USUAL_MESSAGES[self.does.blocked].format(image=image)
            self._block(self.does.blocked, self.does.blocked_message or usual)
            await pause(math.inf if self.does.blocked_for is None else self.does.blocked_for)
        while (missing := problem(self.kubelet.storage, pod)) is not None:
            if missing[0] is not Blocked.UNSCHEDULABLE:
                self._bind()
            self._block(*missing)
            await pause(RETRY_SECONDS)
        self._bind()
        await asyncio.sleep(self.does.starts)
        for index in range(len(pod["spec"].get("initContainers") or [])):
            await self._init(index)

    def _bind(self) -> None:
        """The scheduler's part: the node, then waiting containers."""
        live = self._live()
        if not live["spec"].get("nodeName"):
            live["spec"]["nodeName"] = NODE
            self.kubelet.update(POD, live)

        def bound(pod: Object) -> None:
            status.set_condition(pod, "PodScheduled", "True", self._now())
            pod["status"].setdefault("startTime", self._now())
            first = "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"
            status.set_main(pod, status.waiting(first), 0)
            status.set_init(pod, lambda index: status.waiting("PodInitializing"))

        self._write(bound)

    def _block(self, blocked: Blocked, message: str) -> None:
        def write(pod: Object) -> None:
            if blocked is Blocked.UNSCHEDULABLE:
                status.set_condition(pod, "PodScheduled", "False", self._now(), "Unschedulable", message)
            else:
                status.set_main(pod, status.waiting(blocked.value, message), 0)

        self._write(write)

    async def _init(self, index: int) -> None:
        since = self._now()

        def states(current: status.State) -> Callable[[int], status.State]:
            done = status.terminated(0, since, since)
            return lambda each: (
                done if each < index else (current if each == index else status.waiting("PodInitializing"))
            )

        self._write(lambda pod: status.set_init(pod, states(status.running(since))))
        await asyncio.sleep(INIT_SECONDS)
        code, message = self.does.init_exit_code, self.does.init_message
        over = status.terminated(code, since, self._now(), message=message)
        self._write(lambda pod: status.set_init(pod, states(over)))
        if code == 0:
            return
        if self.who.pod["spec"].get("restartPolicy") == "Never":
            self._write(lambda pod: pod["status"].update(phase="Failed"))
            raise _Gone
        back_off = status.waiting("CrashLoopBackOff", "back-off restarting failed container")
        self._write(lambda pod: status.set_init(pod, states(back_off)))
        await pause(math.inf)

    async def _run_container(self) -> Ended:
        started = self._started

        def run(pod: Object, ready: bool) -> None:
            pod["status"]["phase"] = "Running"
            status.set_condition(pod, "Initialized", "True", started)
            status.set_main(pod, status.running(started), self._restarts, ready)
            for name in ("ContainersReady", "Ready"):
                status.set_condition(pod, name, str(ready), self._now())

        self._write(lambda pod: run(pod, not self.who.is_server))
        container = ContainerRun(self.kubelet, self.who, self.does, self._restarts)
        ready = asyncio.ensure_future(self._ready(run)) if self.who.is_server else None
        try:
            return await container.play()
        finally:
            if ready is not None:
                ready.cancel()
            name = self.who.pod["spec"]["containers"][0]["name"]
            await self.kubelet.logs.end(self.who.uid, name, self._restarts)

    async def _ready(self, run: Callable[[Object, bool], None]) -> None:
        if self.who.is_engine:
            engine = Engine(self.kubelet, self.who, self.does, self._restarts)
            ready = partial(self._write_ready, run)
            await engine.play(self._live, ready, self.annotated)
        await pause(self.does.ready_after)
        self._write(lambda pod: run(pod, True))

    def _write_ready(self, run: Callable[[Object, bool], None], ready: bool) -> None:
        self._write(lambda pod: run(pod, ready))

    async def _after(self, ended: Ended) -> bool:
        """Write the end down; returns whether the container runs again."""
        match self.does.ending:
            case Ending.EVICTED:
                message = ended.message or "The node was low on resource: memory."
                self._disrupt("TerminationByKubelet", message)
                self._fail(137, "", "", reason="Evicted", pod_message=message)
                return False
            case Ending.PREEMPTED:
                self._disrupt("PreemptionByScheduler", "preempted by a pod of higher priority")
                self._delete()
                await pause(math.inf)  # until `deleted` ends this script
            case Ending.NODE_LOST:
                await self._lose_node()
                return False
            case Ending.EXIT | Ending.HANG | Ending.OOM_KILLED:
                pass
        policy = self.who.pod["spec"].get("restartPolicy", "Always")
        code, reason = ended.code, ended.reason
        if policy == "Never" or (policy == "OnFailure" and code == 0):
            self._fail(code, reason, ended.message) if code else self._succeed(ended.message)
            return False
        await self._back_off(ended)
        return True

    async def _back_off(self, ended: Ended) -> None:
        over = status.terminated(ended.code, self._started, self._now(), ended.reason, ended.message)
        self._write(lambda pod: status.set_main(pod, over, self._restarts))
        first, longest = BACK_OFF
        pause = min(first * 2**self._restarts, longest)
        text = f"back-off {pause:.0f}s restarting failed container"
        self._restarts += 1

        def waits(pod: Object) -> None:
            status.set_main(pod, status.waiting("CrashLoopBackOff", text), self._restarts)
            for name in ("ContainersReady", "Ready"):
                status.set_condition(pod, name, "False", self._now(), "ContainersNotReady")

        self._write(waits)
        await asyncio.sleep(pause)

    def _succeed(self, message: str) -> None:
        self._end("Succeeded", status.terminated(0, self._started, self._now(), message=message))

    def _fail(self, code: int, container_reason: str, message: str, *, reason: str = "", pod_message: str = "") -> None:
        started = self._started or self._now()
        over = status.terminated(code, started, self._now(), container_reason, message)
        self._end("Failed", over, reason, pod_message)

    def _end(self, phase: str, over: status.State, reason: str = "", message: str = "") -> None:
        def write(pod: Object) -> None:
            pod["status"]["phase"] = phase
            pod["status"] |= {key: value for key, value in (("reason", reason), ("message", message)) if value}
            status.set_main(pod, over, self._restarts)
            for name in ("ContainersReady", "Ready"):
                status.set_condition(
                    pod, name, "False", self._now(), "PodCompleted" if phase == "Succeeded" else "PodFailed"
                )

        self._write(write)

    def _disrupt(self, reason: str, message: str) -> None:
        self._write(lambda pod: status.set_condition(pod, "DisruptionTarget", "True", self._now(), reason, message))

    async def _lose_node(self) -> None:
        self._disrupt("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
        self._write(lambda pod: status.set_condition(pod, "Ready", "False", self._now(), "NodeNotReady"))
        # Nobody on that node answers the deletion: `deleted` must not start a graceful end.
        deletion = asyncio.ensure_future(self._force_later())
        self.deleted = asyncio.Event()
        self._delete()
        await asyncio.shield(deletion)

    async def _force_later(self) -> None:
        await asyncio.sleep(NODE_LOSS_SECONDS)
        self._write(lambda pod: pod["status"].update(phase="Failed", reason="NodeLost"))
        self._delete(grace=0)

    async def _terminate(self) -> None:
        """SIGTERM, and SIGKILL at the end of the grace period."""
        live = self._live()
        ends = parse(live["metadata"]["deletionTimestamp"])
        left = max((ends - self.kubelet.clock.now()) / timedelta(seconds=1), 0.0)
        killed = self.does.stops_after > left
        await asyncio.sleep(left if killed else self.does.stops_after)
        if self._started and live["status"].get("phase") == "Running":
            self._fail(137 if killed else 143, "", "")
        self._delete(grace=0)

    def _delete(self, grace: int | None = None) -> None:
        options = DeleteOptions(grace=grace, uid=self.who.uid)
        try:
            self.kubelet.deleter.delete(POD, *key_of(self.who.pod), options)
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    def _live(self) -> Object:
        pod = self.kubelet.storage.get(POD, *key_of(self.who.pod))
        if pod is None or pod["metadata"]["uid"] != self.who.uid:
            raise _Gone
        return pod

    def _write(self, change: Callable[[Object], object]) -> None:
        pod = self._live()
        change(pod)
        self.kubelet.write_status(POD, pod)

    def _now(self) -> str:
        return self.kubelet.clock.stamp()
