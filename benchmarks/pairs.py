"""How long pairing takes and how much memory it needs: `python benchmarks/pairs.py [--judgements 1000000]`.

Makes an iteration of made-up answers and judgements in a temporary folder (4 answers of about 600 characters a prompt,
3 critiques of about 400 each), runs the step `pairs` on it as a pod would, and prints wall-clock, processor time and
the peak of its resident memory. The target: a million judgements in under 30 s and 2 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfreward_steps.contract import InputRef, PairsConfig, PairSettings, StoreConfig
from selfreward_steps.rows import write_rows
from selfreward_steps.store import Store, open_store
from selfreward_steps.store.digests import digest_of

CANDIDATES, SAMPLES = 4, 3
CRITIQUE = "The answer is clear and to the point. " * 10
ANSWER = "An answer of some length. " * 23
ITERATION = "iteration-1"

Row = Mapping[str, Any]


def prompt_rows(prompts: range) -> Iterator[Row]:
    return ({"id": f"p{n}", "prompt": f"Question {n}?"} for n in prompts)


def response_rows(prompts: range) -> Iterator[Row]:
    for n in prompts:
        made = [{"text": f"{n}.{i} {ANSWER}", "finish_reason": "stop"} for i in range(CANDIDATES)]
        yield {"id": f"p{n}", "prompt": f"Question {n}?", "candidates": made, "tokens": 600}


def judgement_rows(prompts: range) -> Iterator[Row]:
    for n in prompts:
        draw = random.Random(n)
        for i in range(CANDIDATES):
            scores = [draw.choice((None, 0, 1, 2, 3, 3, 4, 4, 4, 5)) for _ in range(SAMPLES)]
            yield {"id": f"p{n}", "candidate": i, "scores": scores, "critiques": [CRITIQUE] * SAMPLES, "tokens": 300}


def put(store: Store, root: Path, artifact: str, name: str, rows: Iterator[Row]) -> str:
    """Commit one file as an artifact; returns its digest."""
    folder = root / "made" / artifact
    folder.mkdir(parents=True)
    write_rows(folder / f"{name}.jsonl", rows)
    return store.commit(artifact, folder, inputs_digest=digest_of(artifact), step="benchmark").digest


def put_iteration(store: Store, root: Path, prompts: int, shards: int) -> dict[str, InputRef]:
    """Prompts, responses and judgements, sharded as the steps shard them."""
    name = f"{ITERATION}/prompts"
    inputs = {"prompts": InputRef(artifact=name, digest=put(store, root, name, "prompts", prompt_rows(range(prompts))))}
    for role, rows in (("responses", response_rows), ("judgements", judgement_rows)):
        digests = [
            put(store, root, f"{ITERATION}/{role}/shard-{shard:05d}", role, rows(range(shard, prompts, shards)))
            for shard in range(shards)
        ]
        digest = digests[0] if shards == 1 else digest_of(digests)
        inputs[role] = InputRef(artifact=f"{ITERATION}/{role}", digest=digest, shards=shards)
    return inputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judgements", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=8)
    options = parser.parse_args()
    prompts = -(-options.judgements // (CANDIDATES * SAMPLES))
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        uri = (root / "store").as_uri()
        inputs = put_iteration(open_store(uri), root, prompts, options.shards)
        size = sum(path.stat().st_size for path in (root / "store").rglob("*.jsonl"))
        config = PairsConfig(
            run="benchmark",
            iteration=1,
            store=StoreConfig(uri=uri),
            inputs=inputs,
            output=f"{ITERATION}/pairs",
            settings=PairSettings(),
        )
        environment = os.environ | {
            "SELFREWARD_CONFIG": config.model_dump_json(by_alias=True),
            "SELFREWARD_SCRATCH": str(root / "scratch"),
            "SELFREWARD_TERMINATION_LOG": str(root / "result.json"),
        }
        started = time.monotonic()
        command = [sys.executable, "-m", "selfreward_steps", "pairs"]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        wall = time.monotonic() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        metrics = json.loads((root / "result.json").read_text())["metrics"]
    # A child's peak starts at what this process held when it was forked, which is less.
    print(
        f"{prompts * CANDIDATES * SAMPLES:,} judgements of {prompts:,} prompts ({size / 2**30:.2f} GiB) in "
        f"{options.shards} shards: {metrics['pairs']:,.0f} pairs, {wall:.1f} s wall, "
        f"{used.ru_utime + used.ru_stime:.1f} s processor, {used.ru_maxrss / 2**20:.3f} GiB peak"
    )


if __name__ == "__main__":
    main()
