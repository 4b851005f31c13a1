"""The chart, installed as its users install it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

from charts.helm import CHART, executable

from real_cluster.ground import CREDENTIALS, Images

RELEASE: Final = "selfreward"
_SECONDS: Final = 300


async def install(namespace: str, images: Images, endpoint: str, folder: Path) -> None:
    """`helm upgrade --install --wait`, with nothing but the chart's defaults, the images and the bucket."""
    values: dict[str, Any] = {
        "images": {"registry": images.registry} | {role: {"tag": images.tag} for role in _ROLES},
        # The operator reads the store too, with its own credentials.
        "storage": {"endpoints": [endpoint]},
        "extraEnvFrom": [{"secretRef": {"name": CREDENTIALS}}],
    }
    arguments = ["--namespace", namespace, "--values", "-", "--wait", f"--timeout={_SECONDS}s"]
    await _helm("upgrade", "--install", RELEASE, str(CHART), *arguments, folder=folder, values=values)


async def uninstall(namespace: str, folder: Path) -> None:
    """`helm uninstall`; the CRD stays, as the chart promises."""
    await _helm("uninstall", RELEASE, "--namespace", namespace, "--wait", folder=folder)


_ROLES: Final = ("operator", "generator", "judge", "trainer")


async def _helm(*arguments: str, folder: Path, values: dict[str, Any] | None = None) -> None:
    environment = {**os.environ, "HELM_CACHE_HOME": str(folder), "HELM_CONFIG_HOME": str(folder)}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(executable()), *arguments],
            input=json.dumps(values or {}),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS + 60,
        )

    done = await asyncio.to_thread(run)
    assert done.returncode == 0, done.stderr
