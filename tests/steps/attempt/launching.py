"""One test's place for a run, and the launcher in a process of its own: what tests of an attempt start from."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfreward_steps.contract import StepResult
from selfreward_steps.store import Store, open_store
from selfreward_steps.store.digests import digest_of

LAUNCHED = Path(__file__).with_name("launched.py")


@dataclass(frozen=True)
class Place:
    """Where one test's run lies."""

    root: Path

    @property
    def store(self) -> Store:
        return open_store(self.uri)

    @property
    def uri(self) -> str:
        return f"file://{self.root}/store"

    def put(self, artifact: str, text: str) -> str:
        """Commit an artifact of one text file; returns its digest."""
        folder = self.root / "made" / artifact
        folder.mkdir(parents=True)
        (folder / "content.txt").write_text(text)
        return self.store.commit(artifact, folder, inputs_digest=digest_of(text), step="test").digest

    def config(self, step: str = "pairs", **fields: Any) -> dict[str, Any]:
        own: dict[str, Any] = {"settings": {}}
        if step == "judge":
            own["serving"] = {"url": "http://127.0.0.1:1/v1", "model": "m1"}
        return {
            "run": "demo",
            "step": step,
            "store": {"uri": self.uri},
            "output": f"iteration-1/{step}",
            **own,
            **fields,
        }

    def environment(self, config: Mapping[str, Any] | str | None, **more: str) -> dict[str, str]:
        text = config if isinstance(config, str) else json.dumps(config)
        given = {} if config is None else {"SELFREWARD_CONFIG": text}
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {
            **kept,
            **given,
            "SELFREWARD_SCRATCH": str(self.root / "scratch"),
            "SELFREWARD_TERMINATION_LOG": str(self.log),
            "MARKER": str(self.root / "marker"),
            **more,
        }

    @property
    def log(self) -> Path:
        return self.root / "termination-log"

    def result(self) -> StepResult:
        return StepResult.model_validate_json(self.log.read_bytes())

    def launch(
        self, behaviour: str, config: Mapping[str, Any] | str | None, step: str = "pairs", **more: str
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", str(LAUNCHED), step, behaviour]
        environment = self.environment(config, **more)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def last_line(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found
