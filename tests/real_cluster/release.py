"""The chart, installed as its users install it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from charts.helm import CHART, executable

from real_cluster.ground import CREDENTIALS, Ground

RELEASE: Final = "selfreward"
_SECONDS: Final = 300
_ROLES: Final = ("operator", "generator", "judge", "trainer")


@dataclass(frozen=True)
class Release:
    """One release of the chart; `folder` is Helm's own."""

    ground: Ground
    namespace: str
    folder: Path
    name: str = RELEASE

    async def install(self, chart: Path = CHART, **values: Any) -> None:
        """`helm upgrade --install --wait`, with the chart's defaults, the images, the bucket, and these values."""
        images = self.ground.images
        given: dict[str, Any] = {
            "images": {"registry": images.registry} | {role: {"tag": images.tag} for role in _ROLES},
            # The operator reads the store too, with its own credentials.
            "storage": {"endpoints": [self.ground.endpoint]},
            "extraEnvFrom": [{"secretRef": {"name": CREDENTIALS}}],
        }
        wait = ["--values", "-", "--wait", f"--timeout={_SECONDS}s"]
        await self._helm("upgrade", "--install", self.name, str(chart), *wait, values=given | values)

    async def test(self) -> str:
        """`helm test`; what its pod said."""
        return await self._helm("test", self.name, "--logs", f"--timeout={_SECONDS}s")

    async def uninstall(self) -> None:
        """`helm uninstall`; the CRD stays, as the chart promises."""
        await self._helm("uninstall", self.name, "--wait")

    def next_version(self) -> Path:
        """A copy of the chart as its next version would call itself."""
        chart = Path(shutil.copytree(CHART, self.folder / "next", dirs_exist_ok=True))
        about = yaml.safe_load((chart / "Chart.yaml").read_text())
        about |= {"version": "99.0.0", "appVersion": "99.0.0"}
        (chart / "Chart.yaml").write_text(yaml.safe_dump(about))
        return chart

    async def _helm(self, *arguments: str, values: dict[str, Any] | None = None) -> str:
        environment = {**os.environ, "HELM_CACHE_HOME": str(self.folder), "HELM_CONFIG_HOME": str(self.folder)}

        def run() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [str(executable()), *arguments, "--namespace", self.namespace],
                input=json.dumps(values or {}),
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=_SECONDS + 60,
            )

        done = await asyncio.to_thread(run)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
