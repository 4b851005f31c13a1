"""An iteration's prompts, responses and judgements, committed in shards: what tests of pairing start from."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfreward_steps.contract import StepResult
from selfreward_steps.store import Store, open_store
from selfreward_steps.store.digests import digest_of

ITERATION = "iteration-1"
_FILES = {"anchors": "responses", "anchor-judgements": "judgements"}
"""File by role, where it is not the role's own name."""


@dataclass
class Judged:
    """One prompt: the text, finish reason and scores of each candidate."""

    id: str
    candidates: Sequence[tuple[str, Sequence[float | None]]]
    finish_reasons: Sequence[str] = ()
    prompt: str = ""

    def prompt_row(self) -> dict[str, Any]:
        return {"id": self.id, "prompt": self.prompt or f"What is {self.id}?"}

    def response_row(self) -> dict[str, Any]:
        reasons = self.finish_reasons or ["stop"] * len(self.candidates)
        made = [
            {"text": text, "finish_reason": reason} for (text, _), reason in zip(self.candidates, reasons, strict=True)
        ]
        return {**self.prompt_row(), "candidates": made, "tokens": 10}

    def judgement_rows(self) -> list[dict[str, Any]]:
        return [
            {"id": self.id, "candidate": index, "scores": list(scores), "critiques": ["…"] * len(scores), "tokens": 9}
            for index, (_, scores) in enumerate(self.candidates)
        ]


PROMPTS = [
    Judged("p0", [("good", [4, 5, None]), ("bad answer", [1, 2, 1])], ["stop", "length"]),
    Judged("p1", [("one", [3]), ("two", [3])]),
    Judged("p2", [("same", [4]), ("same", [1])]),
    Judged("p3", [("scored", [4]), ("not", [None, None])]),
    Judged("p4", [("häßlich ☂", [0, 0, 0]), ("schön ☀", [5, 5, 5])], prompt="Wie ist das Wetter?\nUnd morgen?"),
]


@dataclass
class Iteration:
    """The store and scratch of one test; `rows` may be changed before `commit` to make them wrong."""

    root: Path
    rows: dict[str, list[list[dict[str, Any]]]] = field(default_factory=dict)
    """For each role, the rows of each shard."""

    @property
    def store(self) -> Store:
        return open_store(self.uri)

    @property
    def uri(self) -> str:
        return f"file://{self.root}/store"

    def judged(self, prompts: Sequence[Judged], shards: int) -> "Iteration":
        """Spread the prompts over shards, strided."""
        parts = [prompts[shard::shards] for shard in range(shards)]
        self.rows = {
            "prompts": [[each.prompt_row() for each in prompts]],
            "responses": [[each.response_row() for each in part] for part in parts],
            "judgements": [[row for each in part for row in each.judgement_rows()] for part in parts],
        }
        return self

    def commit(self) -> dict[str, Any]:
        """Commit the rows; returns the step's `inputs`, pinned."""
        inputs: dict[str, Any] = {}
        for role, parts in self.rows.items():
            sharded = role != "prompts"
            digests = []
            for shard, rows in enumerate(parts):
                name = f"{ITERATION}/{role}" + (f"/shard-{shard:05d}" if sharded else "")
                folder = self.root / "made" / name
                folder.mkdir(parents=True)
                (folder / f"{_FILES.get(role, role)}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
                digests.append(self.store.commit(name, folder, inputs_digest=digest_of(name), step="test").digest)
            pinned = digest_of(digests) if len(digests) > 1 else digests[0]
            inputs[role] = {"artifact": f"{ITERATION}/{role}", "digest": pinned}
            if sharded:
                inputs[role]["shards"] = len(parts)
        return inputs

    def run(
        self, inputs: Mapping[str, Any], open_files: int = 1024, **settings: Any
    ) -> subprocess.CompletedProcess[str]:
        """`python -m selfreward_steps pairs`, with warnings as errors and a soft limit of `open_files`."""
        limited = ["sh", "-c", f'ulimit -Sn {open_files} && exec "$0" "$@"']
        command = [*limited, sys.executable, "-W", "error", "-m", "selfreward_steps", "pairs"]
        environment = self.environment(inputs, settings)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)

    def environment(self, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
        config = {
            "run": "demo",
            "step": "pairs",
            "iteration": 1,
            "store": {"uri": self.uri},
            "inputs": inputs,
            "output": f"{ITERATION}/pairs",
            "settings": settings,
        }
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
        return {
            **kept,
            "SELFREWARD_CONFIG": json.dumps(config),
            "SELFREWARD_SCRATCH": str(self.root / "scratch"),
            "SELFREWARD_TERMINATION_LOG": str(self.log),
        }

    @property
    def log(self) -> Path:
        return self.root / "termination-log"

    def result(self) -> StepResult:
        return StepResult.model_validate_json(self.log.read_bytes())

    @property
    def pairs_file(self) -> Path:
        return self.root / "store" / ITERATION / "pairs" / "pairs.jsonl"

    def pairs(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.pairs_file.read_text().splitlines()]

    def statistics(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.pairs_file.with_name("statistics.json").read_text())
        return found
