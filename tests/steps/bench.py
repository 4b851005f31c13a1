"""A store in a folder and steps run on it, as the launcher runs them but in this process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from openai_server import OpenAIServer
from selfreward_steps.attempt import launch
from selfreward_steps.contract import InputRef, ServingEndpoint, StepConfig, StepResult, StoreConfig
from selfreward_steps.rows import write_rows
from selfreward_steps.store import Store, open_store
from selfreward_steps.store.digests import digest_of


class Bench:
    """One run's store. Give `monkeypatch` the scratch folder: see the fixture `bench`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: Store = open_store(f"file://{folder}/store")

    def put(self, artifact: str, **files: Iterable[Mapping[str, Any]]) -> InputRef:
        """Commit an artifact of JSONL files; `instructions=[…]` becomes `instructions.jsonl`."""
        source = self.folder / "put" / artifact
        source.mkdir(parents=True)
        for name, rows in files.items():
            write_rows(source / f"{name}.jsonl", rows)
        self.store.commit(artifact, source, inputs_digest=digest_of(artifact), step="import")
        return InputRef(artifact=artifact)

    def frame(self, output: str, **inputs: InputRef) -> dict[str, Any]:
        """What every configuration has in common."""
        return {"run": "bench", "store": StoreConfig(uri=self.store.uri), "inputs": inputs, "output": output}

    def run(self, config: StepConfig, shard: int | None = None) -> StepResult:
        """Run and commit; a StepError comes through."""
        return launch._run(config, shard)

    def rows(self, artifact: str, name: str) -> list[Any]:
        with self.store.open(artifact, f"{name}.jsonl") as lines:
            return [json.loads(line) for line in lines]

    def document(self, artifact: str, name: str) -> Any:
        with self.store.open(artifact, f"{name}.json") as file:
            return json.load(file)


def endpoint(server: OpenAIServer, concurrency: int = 8, **options: Any) -> ServingEndpoint:
    return ServingEndpoint(url=server.url, model=server.model, concurrency=concurrency, **options)
