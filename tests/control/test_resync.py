"""Which watches are deaf: those that tell of nothing, not those that are slow."""

from __future__ import annotations

from typing import Any

import pytest
from selfreward.cluster.kubernetes import Cache
from selfreward.cluster.kubernetes.client import Listed
from selfreward.cluster.kubernetes.resources import PODS, Resource
from selfreward.control.resync import Resync

NAMES = ("a/one", "a/two", "b/one", "b/two")


class Lists:
    """An API server with a few pods."""

    async def list(self, resource: Resource, namespace: str | None, labels: str = "") -> Listed:
        """The pods of one namespace, or of all."""
        found = [pod(name) for name in NAMES if resource is PODS and namespace in (None, name.partition("/")[0])]
        return Listed(found, 100)


def pod(name: str) -> dict[str, Any]:
    """A pod, at the version that every list finds."""
    namespace, _, short = name.partition("/")
    return {"metadata": {"namespace": namespace, "name": short, "uid": name, "resourceVersion": "7", "labels": {}}}


@pytest.mark.parametrize(
    ("namespaces", "told", "deaf"),
    [
        pytest.param((), (), True, id="nothing"),
        pytest.param((), ("a/one",), False, id="a part"),
        pytest.param((), NAMES, False, id="everything"),
        pytest.param(("a", "b"), ("a/one",), True, id="of one namespace only"),
        pytest.param(("a", "b"), ("a/one", "b/two"), False, id="a part of each namespace"),
    ],
)
async def test_a_watch_that_has_told_of(namespaces: tuple[str, ...], told: tuple[str, ...], deaf: bool) -> None:
    resync = Resync(Lists(), Cache(), namespaces, lambda key: None)  # type: ignore[arg-type]
    assert await resync.all(()) == frozenset()
    for name in told:
        resync.told(PODS, False, pod(name))
    assert (PODS in await resync.all(())) is deaf
