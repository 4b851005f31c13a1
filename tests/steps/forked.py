"""Step processes forked from a server that has torch loaded: importing torch, TRL and transformers takes seconds.

They have their own memory, signals and exit code, and run the launcher that `python -m selfreward_steps` runs. What
libraries read of the environment when they are imported (`HF_ENDPOINT`) they do not see: that needs the real command.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext

PRELOADED = [
    "selfreward_steps.attempt.launch",
    "selfreward_steps.sft",
    "selfreward_steps.dpo",
    "selfreward_steps.import_step",
    "transformers.models.llama",
]


def forking() -> ForkServerContext:
    """Where to make processes: there is one server a test session, started by its first."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def run_step(step: str, environment: Mapping[str, str], output: str, errors: str) -> None:
    """What such a process does: run a step, its output and errors in those files."""
    for target, number in ((output, 1), (errors, 2)):
        os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    os.environ.update(environment)
    from selfreward_steps.attempt.launch import main

    sys.exit(main([step]))
