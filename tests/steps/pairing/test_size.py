"""The step `pairs` at full size: time and memory."""

import json
import os
import sys
import time
from typing import Any

import pytest
from selfreward_steps.store import open_store
from selfreward_steps.store.digests import digest_of
from steps.pairing.judged_rows import ITERATION, Iteration


def synthetic(iteration: Iteration, prompts: int, shards: int) -> dict[str, Any]:
    """4 answers of 600 characters and 3 critiques of 400 each a prompt, written line by line."""
    critique, answer = "The answer is clear and to the point. " * 10 + "x" * 20, "An answer of some length. " * 24
    inputs: dict[str, Any] = {}
    digests: dict[str, list[str]] = {"responses": [], "judgements": []}
    folders = {role: [iteration.root / "made" / role / str(shard) for shard in range(shards)] for role in digests}
    for folder in (folder for each in folders.values() for folder in each):
        folder.mkdir(parents=True)
    told = iteration.root / "made" / "prompts"
    told.mkdir()
    (told / "prompts.jsonl").write_text(
        "".join(f'{{"id": "p{n}", "prompt": "Question {n}?"}}\n' for n in range(prompts))
    )
    for shard in range(shards):
        with (
            (folders["responses"][shard] / "responses.jsonl").open("w") as responses,
            (folders["judgements"][shard] / "judgements.jsonl").open("w") as judgements,
        ):
            for n in range(shard, prompts, shards):
                made = [{"text": f"{n}.{i} {answer}", "finish_reason": "stop"} for i in range(4)]
                row = {"id": f"p{n}", "prompt": f"Question {n}?", "candidates": made, "tokens": 600}
                responses.write(json.dumps(row) + "\n")
                for i in range(4):
                    scores = [(n * 3 + i * 5 + k * k) % 6 for k in range(3)]
                    judged = {"id": f"p{n}", "candidate": i, "scores": scores, "critiques": [critique] * 3}
                    judgements.write(json.dumps(judged) + "\n")
    store = open_store(iteration.uri)
    manifest = store.commit(f"{ITERATION}/prompts", told, inputs_digest=digest_of("prompts"), step="test")
    inputs["prompts"] = {"artifact": f"{ITERATION}/prompts", "digest": manifest.digest}
    for role, parts in folders.items():
        for shard, folder in enumerate(parts):
            name = f"{ITERATION}/{role}/shard-{shard:05d}"
            manifest = store.commit(name, folder, inputs_digest=digest_of(name), step="test")
            digests[role].append(manifest.digest)
        inputs[role] = {"artifact": f"{ITERATION}/{role}", "digest": digest_of(digests[role]), "shards": shards}
    return inputs


WATCHED = """
import atexit, os, pathlib, re, runpy

def tell():
    status = pathlib.Path("/proc/self/status").read_text()
    pathlib.Path(os.environ["PEAK"]).write_text(re.search(r"VmHWM:\\s*(\\d+)", status)[1])

atexit.register(tell)
runpy.run_module("selfreward_steps", run_name="__main__", alter_sys=True)
"""
"""The step, telling its own peak in KiB: what `wait4` gives counts the test process it was forked from."""


@pytest.mark.parametrize(
    ("prompts", "cpu_seconds", "gibibytes"),
    [
        pytest.param(1_000, 5, 0.25, id="12,000 judgements"),
        pytest.param(83_334, 30, 2, id="1,000,000 judgements", marks=pytest.mark.slow),
    ],
)
def test_time_and_memory(iteration: Iteration, prompts: int, cpu_seconds: float, gibibytes: float) -> None:
    """Processor time, start and verification of the inputs included: the step has one thread for its work, so on a
    machine of its own this is the time it takes."""
    inputs = synthetic(iteration, prompts, 4)
    started = time.monotonic()
    output = os.open(iteration.root / "output", os.O_CREAT | os.O_WRONLY)
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", WATCHED, "pairs"],
        iteration.environment(inputs, {}) | {"PEAK": str(iteration.root / "peak")},
        file_actions=[(os.POSIX_SPAWN_DUP2, output, 1)],
    )
    os.close(output)
    _, status, usage = os.wait4(child, 0)
    wall, used = time.monotonic() - started, usage.ru_utime + usage.ru_stime
    peak = int((iteration.root / "peak").read_text()) / 2**20
    print(f"{prompts * 12:,} judgements: {used:.1f} s of processor, {wall:.1f} s, {peak:.3f} GiB")
    assert os.waitstatus_to_exitcode(status) == 0
    assert iteration.statistics()["judgements"] == prompts * 12
    assert iteration.statistics()["pairs"] == prompts
    assert used < cpu_seconds
    assert peak < gibibytes
