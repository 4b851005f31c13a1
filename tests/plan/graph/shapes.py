"""Specs whose graphs are told apart, and their nodes by key."""

from __future__ import annotations

from typing import Any

from plan.runs import DATA, a_run
from selfreward.plan import Node, build_graph

ALIGNED: dict[str, Any] = {"seedData": {}, "prompts": {"source": DATA}}
ROUND = ["prompts-1", "respond-1", "judge-1", "pairs-1", "dpo-1"]
OTHER_JUDGE = {"model": "model", "source": {"uri": "hf://owner/judge"}}
ENDPOINT = {"model": "endpoint", "endpoint": {"url": "https://judge.example/v1", "model": "big"}}


def nodes(**spec: Any) -> dict[str, Node]:
    return dict(build_graph(a_run(**spec).spec).by_key)
