"""A step whose body is one of a few behaviours, run through the real launcher in a process of its own.

`python launched.py STEP BEHAVIOUR`: what is under test is the frame, so the step itself is replaced, nothing else.
"""

import errno
import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.errors import InfrastructureError, PermanentError, StepFailed

Context = StepContext[Any]


def commits(context: Context) -> StepOutcome:
    folder = context.scratch / "out"
    folder.mkdir(exist_ok=True)
    inputs = {role: [path.read_text() for path in _files(context, role)] for role in sorted(context.config.inputs)}
    (folder / "seen.txt").write_text(f"{context.shard} {context.seed} {inputs}")
    context.progress.update(1, 1, "pairs", loss=0.5)
    marker = Path(os.environ["MARKER"])
    return StepOutcome(
        [Output(context.output, folder, {"note": "kept"})],
        metrics={"pairs": 3, "spread": float("nan")},
        after_commit=[lambda: marker.write_text(str(context.committed(context.output) is not None))],
    )


def _files(context: Context, role: str) -> list[Path]:
    return [path for folder in context.fetch_shards(role) for path in sorted(folder.glob("*.txt"))]


def other_rank(context: Context) -> StepOutcome:
    return StepOutcome([], commit=False)


def forgets(context: Context) -> StepOutcome:
    return StepOutcome([])


def sleeps(context: Context) -> StepOutcome:
    context.progress.update(0, 9, "pairs")
    try:
        time.sleep(60)
    except Exception as error:
        raise AssertionError("a stop must not look like a failure of the step") from error
    return StepOutcome([])


def permanent(context: Context) -> StepOutcome:
    raise PermanentError("NoPairs", "preferences.minMargin: 9: no two candidates\ndiffer by that much; lower it")


def bad_input(context: Context) -> StepOutcome:
    path = context.scratch / "inputs" / "iteration-1" / "pairs" / "pairs.jsonl"
    raise PermanentError("BadRows", f"{path}, line 3: not JSON")


def infrastructure(context: Context) -> StepOutcome:
    raise InfrastructureError("ServingUnavailable", "http://127.0.0.1:1/v1 does not answer")


def failed(context: Context) -> StepOutcome:
    raise StepFailed("JudgeNeverScores", "0 of 12 judgements had a score")


def long_message(context: Context) -> StepOutcome:
    raise StepFailed("Long", "é" * 9000)


def repeats_a_key(context: Context) -> StepOutcome:
    key = os.environ["SELFREWARD_JUDGE_API_KEY"]
    raise ValueError(f"no such key: {key}, half \ud800 a pair")


def disk_full(context: Context) -> StepOutcome:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/scratch/part-3")


def disk_full_in_words(context: Context) -> StepOutcome:
    # What safetensors raises, word for word.
    raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


def no_library(context: Context) -> StepOutcome:
    raise ImportError("libcudnn.so.9: cannot open shared object file: No such file or directory")


def no_library_of_a_library(context: Context) -> StepOutcome:
    # As transformers imports lazily.
    try:
        raise OSError("libcudart.so.12: cannot open shared object file: No such file or directory")
    except OSError as error:
        raise RuntimeError("Failed to import transformers.trainer") from error


def no_package(context: Context) -> StepOutcome:
    import no_such_package  # type: ignore[import-not-found]

    return no_such_package


def bug(context: Context) -> StepOutcome:
    raise KeyError("rank")


if __name__ == "__main__":
    step, behaviour = sys.argv[1:]
    body: Callable[[Context], StepOutcome] = globals()[behaviour]
    module = types.ModuleType(f"selfreward_steps.{step}")
    module.run = body  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module

    from selfreward_steps.attempt.launch import main

    sys.exit(main([step]))
