"""HTTP endpoints of this process: the probes /healthz and /readyz for Kubernetes, /metrics for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from selfreward.control.metrics import Metrics


@asynccontextmanager
async def answering(port: int, ailment: Callable[[], str], metrics: Metrics) -> AsyncIterator[int]:
    """Answer on that port (0: any that is free) for as long as the context lasts; gives the port.

    `ailment` says what is wrong with this process that a restart may mend, and is empty when nothing is. A replica
    that does not lead is ready: it is there to take over.
    """

    async def health(_: web.Request) -> web.Response:
        wrong = ailment()
        return web.Response(text=wrong or "ok", status=500 if wrong else 200)

    async def ready(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def numbers(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.collect()), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", health), web.get("/readyz", ready), web.get("/metrics", numbers)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        # The kubelet comes from outside the pod.
        await web.TCPSite(runner, None, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
