"""A run as its steps would have left it: a status and committed artifacts, of any size, whole or half-way.

Its numbers are made up and mean nothing. Its documents have the shapes that the steps write; that the real ones have
them too is for the test of a whole run.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from report.made_documents import comparison_rows, judged_rows, metrics, ranked_rows, statistics
from selfreward.api import RunStatus, SelfRewardRun
from selfreward.plan import Node, build_graph
from selfreward.render import store_config
from selfreward_steps.store import Store, open_store

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
_DIGEST = "sha256:" + "0" * 64
_METRICS = {
    "pairs": {"pairs": 5.0, "prompts": 6.0, "ties": 1.0, "parse_rate": 0.95},
    "dpo": {"reward_margin": 0.004, "reward_accuracy": 0.75, "loss": 0.6},
    "evaluate": {"judge_pairwise_accuracy": 0.7, "judge_pairwise_accuracy_longest_wins": 0.66},
}
_SECONDS = 60.0
"""Every step takes a minute."""

Writer = Callable[[random.Random, int], str]
"""A text of about so many characters."""


def plain_words(rng: random.Random, length: int) -> str:
    """Made-up words, the common ones often: about as hard to compress as people's answers (2.8 to 1; theirs 2.9)."""
    words: list[str] = []
    size = 0
    while size < length:
        rank = int(rng.paretovariate(0.62)) - 1
        words.append(_VOCABULARY[rank] if rank < len(_VOCABULARY) and rng.random() < 0.8 else rng.choice(_VOCABULARY))
        size += len(words[-1]) + 1
    return " ".join(words).capitalize() + "."


def _vocabulary() -> list[str]:
    rng = random.Random(7)
    syllables = [c + v + e for c in "bcdfghlmnprstvw" for v in "aeiou" for e in ("", "n", "r", "st", "l")]
    return [
        "".join(rng.choices(syllables, k=1 + min(index // 150, rng.choice((1, 2, 2, 3))))) for index in range(20_000)
    ]


_VOCABULARY = _vocabulary()


@dataclass
class MadeRun:
    """What to make; `folder` holds the store."""

    folder: Path
    name: str = "made"
    prompts: int = 6
    per_prompt: int = 4
    samples: int = 3
    shards: int = 2
    iterations: int = 2
    until: str = ""
    """Key of the step that is running; all before it have succeeded. Empty: the run has ended."""
    answer_chars: int = 400
    critique_chars: int = 120
    write: Writer = plain_words
    spec: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def make(self) -> tuple[SelfRewardRun, Store]:
        run = SelfRewardRun.model_validate({"metadata": {"name": self.name}, "spec": self._spec()})
        config = store_config(run)
        store = open_store(config.uri, endpoint_url=config.endpoint_url, region=config.region)
        nodes = build_graph(run.spec).nodes
        keys = [node.key for node in nodes]
        done = nodes if not self.until else nodes[: keys.index(self.until)]
        for node in done:
            self._commit(store, node)
        return run.model_copy(update={"status": self._status(nodes, len(done), config.uri)}), store

    def _spec(self) -> dict[str, Any]:
        data = {name: {"uri": f"s3://data/{name}.jsonl"} for name in ("instructions", "rankings")}
        return {
            "model": {"uri": "hf://example/base-1b"},
            "seedData": data,
            "iterations": self.iterations,
            "serving": {"generationShards": self.shards},
            "storage": {"uri": (self.folder / "artifacts").absolute().as_uri()},
            **self.spec,
        }

    def _status(self, nodes: tuple[Node, ...], done: int, uri: str) -> RunStatus:
        rows: dict[int, list[dict[str, Any]]] = {}
        for place, node in enumerate(nodes):
            start = START + timedelta(seconds=_SECONDS * place)
            row: dict[str, Any] = {"key": node.key, "step": node.step, "state": "Waiting"}
            if place <= done:
                row |= {"state": "Running", "attempt": 1, "startedAt": start, "runningAt": start}
            if place < done:
                row |= {"state": "Succeeded", "finishedAt": start + timedelta(seconds=_SECONDS)}
                row["metrics"] = {"completion_tokens": 1000.0} if node.serving is not None else {}
                row["metrics"] |= _METRICS.get(node.step, {})
            elif place == done:
                row["progress"] = {"done": 3, "total": 9, "unit": "prompts"}
            rows.setdefault(node.iteration, []).append(row)
        ended = {"finishedAt": START + timedelta(seconds=_SECONDS * done)} if done == len(nodes) else {}
        return RunStatus.model_validate(
            {
                "phase": "Succeeded" if ended else "Iterating",
                "startedAt": START,
                "artifacts": uri,
                "iterations": [{"number": number, "steps": steps} for number, steps in rows.items()],
                **ended,
            }
        )

    def _commit(self, store: Store, node: Node) -> None:
        match node.step:
            case "respond":
                for shard in range(self.shards):
                    self._put(
                        store, f"{node.output}/shard-{shard:05d}", {"responses.jsonl": self._responses(node, shard)}
                    )
            case "judge":
                for shard in range(self.shards):
                    rows = self._judgements(node, shard)
                    self._put(store, f"{node.output}/shard-{shard:05d}", {"judgements.jsonl": rows})
            case "pairs":
                pairs = list(self._pairs(node))
                files = {
                    "pairs.jsonl": pairs,
                    "statistics.json": [statistics(self.prompts, len(pairs), node.iteration)],
                }
                self._put(store, node.output, files)
            case "evaluate":
                self._put(store, node.output, self._evaluation(node))
            case _:
                for artifact in node.outputs:
                    self._put(store, artifact, self._files(node, artifact))

    def _files(self, node: Node, artifact: str) -> Mapping[str, Iterable[Any]]:
        if node.step == "eft":
            return {"test.jsonl": ranked_rows(self._rng("ranked"), self.prompts)}
        if node.step in ("sft", "dpo"):
            steps = [{"step": step, "loss": 0.7 - step / 100, "reward_margin": step / 50} for step in range(1, 31)]
            return {"training.jsonl": steps}
        return {"what.json": [{"artifact": artifact}]}

    def _evaluation(self, node: Node) -> Mapping[str, Iterable[Any]]:
        number = _number(node.output)
        rng = self._rng("evaluate", number)
        found: dict[str, Iterable[Any]] = {
            "metrics.json": [metrics(number)],
            "judge.jsonl": judged_rows(rng, self.prompts),
        }
        if number:
            name = "comparisons.jsonl" if number > 1 else "comparisons-baseline.jsonl"
            found[name] = comparison_rows(rng, self.prompts, self.write)
        return found

    def _put(self, store: Store, artifact: str, files: Mapping[str, Iterable[Any]]) -> None:
        folder = self.folder / "staging" / artifact
        folder.mkdir(parents=True)
        for name, rows in files.items():
            (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        store.commit(artifact, folder, inputs_digest=_DIGEST, step="made")

    def _rng(self, *what: object) -> random.Random:
        return random.Random(f"{self.seed} {what}")

    def _responses(self, node: Node, shard: int) -> Iterable[dict[str, Any]]:
        for place in range(shard, self.prompts, self.shards):
            rng = self._rng("respond", node.iteration, place)
            lengths = [int(rng.uniform(0.5, 1.5) * self.answer_chars) for _ in range(self.per_prompt)]
            candidates = [
                {"text": self.write(rng, length), "finish_reason": "stop" if rng.random() < 0.9 else "length"}
                for length in lengths
            ]
            yield {"id": _id(node, place), "prompt": self.write(rng, 80), "candidates": candidates, "tokens": 100}

    def _judgements(self, node: Node, shard: int) -> Iterable[dict[str, Any]]:
        for place in range(shard, self.prompts, self.shards):
            for candidate in range(self.per_prompt):
                rng = self._rng("critique", node.iteration, place, candidate)
                yield {
                    "id": _id(node, place),
                    "candidate": candidate,
                    "scores": self._scores(node.iteration, place, candidate),
                    "critiques": [self.write(rng, self.critique_chars) for _ in range(self.samples)],
                    "tokens": 30,
                }

    def _scores(self, iteration: int, place: int, candidate: int) -> list[float | None]:
        rng = self._rng("score", iteration, place, candidate)
        scores: list[float | None] = [float(rng.randint(0, 5)) for _ in range(self.samples)]
        return [None, *scores[1:]] if rng.random() < 0.1 else scores

    def _pairs(self, node: Node) -> Iterable[dict[str, Any]]:
        rows = (row for shard in range(self.shards) for row in self._responses(node, shard))
        for row in sorted(rows, key=lambda row: str(row["id"])):
            place = int(row["id"].rpartition("-")[2])
            stated = [
                [s for s in self._scores(node.iteration, place, c) if s is not None] for c in range(self.per_prompt)
            ]
            means = [sum(scores) / len(scores) for scores in stated]
            best, worst = means.index(max(means)), means.index(min(means))
            if means[best] == means[worst] or place == 1:
                continue
            texts = [candidate["text"] for candidate in row["candidates"]]
            yield {
                "id": row["id"],
                "prompt": [{"role": "user", "content": row["prompt"]}],
                "chosen": [{"role": "assistant", "content": texts[best]}],
                "rejected": [{"role": "assistant", "content": texts[worst]}],
                "chosen_score": means[best],
                "rejected_score": means[worst],
            }


def _id(node: Node, place: int) -> str:
    return f"prompt-{node.iteration}-{place:06d}"


def _number(evaluation: str) -> int:
    """Of the model that was evaluated; the SFT baseline's is 0."""
    return 0 if evaluation.endswith("sft-baseline") else int(evaluation.rpartition("m")[2])
