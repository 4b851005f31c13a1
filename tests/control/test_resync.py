"""Which watches are deaf: those that tell of nothing, not those that are slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from selfreward.cluster.kubernetes import Cache
from selfreward.cluster.kubernetes.client import Listed
from selfreward.cluster.kubernetes.resources import PODS, RUNS, Object, View
from selfreward.control.keys import RunKey
from selfreward.control.resync import Resync
from selfreward.render.resource import Resource

NAMES = ("a/one", "a/two", "b/one", "b/two")


class Lists:
    """An API server with a few pods."""

    async def list(
        self,
        resource: Resource,
        namespace: str | None,
        labels: str = "",
        keep: Callable[[View], Object] = dict,
    ) -> Listed:
        """The pods of one namespace, or of all."""
        found = [pod(name) for name in NAMES if resource is PODS and namespace in (None, name.partition("/")[0])]
        return Listed([keep(item) for item in found], 100)


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


def test_a_run_is_news_once_a_version() -> None:
    news: list[RunKey] = []
    resync = Resync(Lists(), Cache(), (), news.append)  # type: ignore[arg-type]
    run = pod("a/run")
    for gone in (False, False, True):
        resync.told(RUNS, gone, run)
    assert news == [RunKey("a", "run")] * 2, "its beginning and its end"
