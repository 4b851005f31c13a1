"""A server: fetched for, started, asked until it answers, and noticed when it does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from cluster.conftest import identity
from selfreward.cluster.local.manifests import Place, served_of
from selfreward.cluster.local.ports import free_port
from selfreward.cluster.local.served import Served
from selfreward.plan import ChildKind, ChildPhase, ObservedChild
from selfreward_steps.contract import FailureClass

ANSWERING = """
import http.server, os, time
time.sleep(0.2)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        {before}
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def log_message(self, *_): pass
print("loading weights", flush=True)
time.sleep(0.5)
http.server.HTTPServer((os.environ["SELFREWARD_HOST"], int(os.environ["SELFREWARD_PORT"])), Handler).serve_forever()
"""


def deployment(script: str, init: str = "", **liveness: int) -> dict[str, Any]:
    check = {"httpGet": {"path": "/health", "port": "http"}, "timeoutSeconds": 1}
    server = {
        "name": "server",
        "command": ["python3", "-c", script],
        "env": [{"name": "SELFREWARD_HOST", "value": "0.0.0.0"}, {"name": "SELFREWARD_PORT", "value": "8000"}],
        "readinessProbe": check,
        "livenessProbe": {**check, **liveness},
    }
    fetch = {"name": "fetch-model", "command": ["python3", "-c", init]}
    return {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [server], "initContainers": [fetch]}}}}


@asynccontextmanager
async def served(manifest: dict[str, Any], place: Place) -> AsyncIterator[Served]:
    child = served_of(identity(ChildKind.SERVING), manifest, place, free_port())
    try:
        yield child
    finally:
        child.stop(0)
        await seen(child, lambda _: child.is_gone)


async def seen(child: Served, condition: Callable[[ObservedChild], bool], seconds: float = 20) -> ObservedChild:
    deadline = time.monotonic() + seconds
    while True:
        child.refresh(datetime.now(UTC))
        observed = child.observed()
        if condition(observed):
            return observed
        assert time.monotonic() < deadline, observed
        await asyncio.sleep(0.02)


async def test_it_is_ready_when_it_answers_and_says_what_it_does_before(place: Place) -> None:
    async with served(deployment(ANSWERING.format(before="pass")), place) as child:
        waiting = await seen(child, lambda observed: "weights" in observed.waiting)
        assert (waiting.phase, waiting.waiting) == (ChildPhase.RUNNING, "loading: loading weights")
        ready = await seen(child, lambda observed: observed.phase is ChildPhase.READY)
        assert ready.waiting == ""


async def test_the_model_is_fetched_first(place: Place) -> None:
    init = "import time; print('fetching 3 files', flush=True); time.sleep(0.5)"
    async with served(deployment(ANSWERING.format(before="pass"), init), place) as child:
        fetching = await seen(child, lambda observed: "3 files" in observed.waiting)
        assert fetching.phase is ChildPhase.PENDING
        assert fetching.waiting == "fetching the model: fetching 3 files"
        await seen(child, lambda observed: observed.phase is ChildPhase.READY)


async def test_a_model_that_cannot_be_fetched_fails_the_server(place: Place) -> None:
    init = "import sys; print('InputChanged: m1 has another digest', file=sys.stderr); sys.exit(64)"
    async with served(deployment(ANSWERING.format(before="pass"), init), place) as child:
        observed = await seen(child, lambda observed: observed.phase is ChildPhase.FAILED)
        (failure,) = observed.failures
        assert failure.failure_class is FailureClass.PERMANENT
        assert "another digest" in failure.message


async def test_a_server_that_dies_says_its_last_error(place: Place) -> None:
    script = "import sys; print('ValueError: dtype float7 is not known', file=sys.stderr); print('bye'); sys.exit(1)"
    async with served(deployment(script), place) as child:
        observed = await seen(child, lambda observed: observed.phase is ChildPhase.FAILED)
        (failure,) = observed.failures
        assert failure.message == "ValueError: dtype float7 is not known"


async def test_a_server_that_hangs_is_ended(place: Place) -> None:
    """It answers once, and never again."""
    before = "globals().update(n=globals().get('n', 0) + 1); n > 1 and time.sleep(600)"
    manifest = deployment(ANSWERING.format(before=before), periodSeconds=0, failureThreshold=2)
    manifest["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["timeoutSeconds"] = 0.3
    async with served(manifest, place) as child:
        observed = await seen(child, lambda observed: observed.phase is ChildPhase.FAILED)
        (failure,) = observed.failures
        assert failure.reason == "ServerHung"
