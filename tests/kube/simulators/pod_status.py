"""How a pod's status says what happens to it, in the kubelet's and the scheduler's own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kube.behaviour import Blocked
from kube.storage import Object

State = dict[str, Any]

USUAL_MESSAGES: Final = {
    Blocked.UNSCHEDULABLE: "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
    Blocked.IMAGE_PULL: 'Back-off pulling image "{image}"',
    Blocked.INVALID_IMAGE: 'Failed to apply default image tag "{image}": couldn\'t parse image name',
    Blocked.CONFIG_ERROR: 'secret "missing" not found',
    Blocked.CREATING: "",
}


def set_condition(pod: Object, type_: str, status: str, now: str, reason: str = "", message: str = "") -> None:
    """Set one condition in place; its time moves only when its status does."""
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    old = next((each for each in conditions if each["type"] == type_), None)
    condition = {"type": type_, "status": status, "lastProbeTime": None, "lastTransitionTime": now}
    if old is not None and old["status"] == status:
        condition["lastTransitionTime"] = old["lastTransitionTime"]
    condition |= {key: value for key, value in (("reason", reason), ("message", message)) if value}
    conditions[:] = [each for each in conditions if each["type"] != type_] + [condition]


def container_status(container: dict[str, Any], state: State, restarts: int = 0, ready: bool = False) -> State:
    """One entry of containerStatuses."""
    image = container.get("image", "")
    started = "running" in state
    return {
        "name": container["name"],
        "image": image,
        "imageID": f"{image}@sha256:{'0' * 64}",
        "state": state,
        "lastState": {},
        "ready": ready,
        "started": started,
        "restartCount": restarts,
    }


def waiting(reason: str, message: str = "") -> State:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def running(since: str) -> State:
    return {"running": {"startedAt": since}}


def terminated(code: int, since: str, now: str, reason: str = "", message: str = "") -> State:
    """A container's end; the kubelet cuts messages at 4096 bytes."""
    cut = message.encode()[:4096].decode(errors="ignore")
    state = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "startedAt": since,
        "finishedAt": now,
    }
    return {"terminated": state | ({"message": cut} if cut else {})}


def set_main(pod: Object, state: State, restarts: int, ready: bool = False) -> None:
    """All main containers in one state; the last termination is kept across a restart."""
    before = {each["name"]: each for each in pod["status"].get("containerStatuses", [])}
    statuses = []
    for container in pod["spec"]["containers"]:
        status = container_status(container, state, restarts, ready)
        old = before.get(container["name"])
        if old is not None:
            ended = old["state"] if "terminated" in old["state"] and "terminated" not in state else old["lastState"]
            status["lastState"] = ended
        statuses.append(status)
    pod["status"]["containerStatuses"] = statuses


def set_init(pod: Object, state_of: Callable[[int], State]) -> None:
    """The init containers' states, by index."""
    containers = pod["spec"].get("initContainers") or []
    if containers:
        pod["status"]["initContainerStatuses"] = [
            container_status(container, state_of(index), ready="terminated" in state_of(index))
            for index, container in enumerate(containers)
        ]
