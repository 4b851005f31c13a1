"""Runs to walk, small and with short deadlines."""

from __future__ import annotations

from typing import Any

from plan.faults import Faults, Scripted
from plan.walk import Walk
from plan.world import World
from selfreward.api import SelfRewardRun

DATA = {"uri": "file:///data/seed.jsonl"}
DEADLINES = {"step": 1000, "start": 100, "serving": 100, "progress": 100}
RETRY = {"limit": 3, "backoffSeconds": 5, "maxBackoffSeconds": 40, "infrastructureSeconds": 1000}


def a_run(**spec: Any) -> SelfRewardRun:
    """A run with the paper's whole graph, one iteration and two shards; `spec` in YAML's names."""
    whole = {
        "model": {"uri": "hf://owner/base"},
        "seedData": {"instructions": DATA, "rankings": DATA},
        "iterations": 1,
        "serving": {"generationShards": 2},
        "deadlines": DEADLINES,
        "retry": RETRY,
    }
    return SelfRewardRun.model_validate(
        {"metadata": {"name": "run", "namespace": "team", "uid": "run-uid"}, "spec": whole | spec}
    )


def a_walk(faults: Faults | None = None, **spec: Any) -> Walk:
    """A walk of :func:`a_run` through a fresh world."""
    return Walk(a_run(**spec), World(faults or Scripted()))
