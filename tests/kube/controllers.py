"""The frame of every simulated controller: level-triggered, one key at a time, a little late as real ones are.

A controller writes through the same `Writer` and `Deleter` as HTTP requests do, but beside the fault plan: the
control plane of the cluster is healthy, it is ours that is tested. An exception in one is kept and fails the test.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kube.clock import GRAIN, Clock
from kube.deleting import Deleter
from kube.kinds import Kind
from kube.names import Identities
from kube.storage import Change, Object, Storage, copied, key_of
from kube.writing import Actor, Writer

Key = TypeVar("Key")


@dataclass
class Machinery:
    """What controllers are built of."""

    storage: Storage
    writer: Writer
    deleter: Deleter
    clock: Clock
    identities: Identities
    kind_of: Callable[[str, str], Kind | None]
    """The installed kind of an apiVersion and kind."""
    failures: list[BaseException] = field(default_factory=list)
    """What went wrong in a controller; the cluster raises it at its end."""
    refuses: Callable[[Object], str] = field(default=lambda pod: "")
    """Why a pod that a controller makes is refused, by a quota or a policy; empty: it is not."""


class Controller(ABC, Generic[Key]):
    """Watches changes, and reconciles keys one after another."""

    delay = 0.05
    """Seconds between a change and its reconciliation: time enough for the intermediate state to be seen."""
    manager = "kube-controller-manager"

    def __init__(self, machinery: Machinery) -> None:
        self.storage = machinery.storage
        self.writer = machinery.writer
        self.deleter = machinery.deleter
        self.clock = machinery.clock
        self.identities = machinery.identities
        self.kind_of = machinery.kind_of
        self._failures = machinery.failures
        self.machinery = machinery
        self._loop = asyncio.get_running_loop()
        self._due: dict[Key, asyncio.TimerHandle] = {}
        self._unlisten = machinery.storage.listen(self.observe)

    @abstractmethod
    def observe(self, change: Change) -> None:
        """Enqueue the keys that `change` concerns. Called within the write: must not write itself."""

    @abstractmethod
    def reconcile(self, key: Key) -> None:
        """Bring the world one step nearer to what the object asks for."""

    def enqueue(self, key: Key, after: float | None = None) -> None:
        """Reconcile `key` after `delay`, or `after` seconds; the earlier of two requests holds."""
        when = self._loop.time() + (self.delay if after is None else max(after, GRAIN))
        waiting = self._due.get(key)
        if waiting is not None:
            if waiting.when() <= when:
                return
            waiting.cancel()
        self._due[key] = self._loop.call_at(when, self._fire, key)

    def stop(self) -> None:
        """Never reconcile again."""
        self._unlisten()
        for handle in self._due.values():
            handle.cancel()
        self._due.clear()

    def actor(self) -> Actor:
        return Actor(self.manager)

    def update(self, kind: Kind, item: Object) -> Object:
        """Write the whole object but its status, at the resourceVersion it was read with."""
        namespace, name = key_of(item)
        return self.writer.update(kind, namespace, name, copied(item), self.actor())

    def write_status(self, kind: Kind, item: Object) -> Object:
        """Write the object's status."""
        namespace, name = key_of(item)
        return self.writer.update(kind, namespace, name, copied(item), self.actor(), "status")

    def _fire(self, key: Key) -> None:
        del self._due[key]
        try:
            self.reconcile(key)
        except Exception as error:  # noqa: BLE001 - a timer's callback: the loop would only log it
            self._failures.append(error)
