"""Inputs and configurations of steps respond and judge, for their tests."""

from typing import Any

from bench import Bench, endpoint
from openai_server import OpenAIServer
from selfreward_steps.contract import (
    InputRef,
    JudgeConfig,
    JudgeSettings,
    RespondConfig,
    ResponseSettings,
)

RESPONSES, JUDGEMENTS = "iteration-1/responses", "iteration-1/judgements"


def put_prompts(bench: Bench, count: int = 10) -> InputRef:
    return bench.put("prompts", prompts=[{"id": f"1-{n:06d}", "prompt": f"What is {n}?"} for n in range(count)])


def respond(bench: Bench, server: OpenAIServer, prompts: InputRef, **options: Any) -> RespondConfig:
    frame = {**bench.frame(RESPONSES, prompts=prompts), "serving": endpoint(server, options.pop("concurrency", 4))}
    return RespondConfig(**{**frame, "iteration": 1, "settings": ResponseSettings(), **options})


def judge(bench: Bench, server: OpenAIServer, responses: InputRef, **options: Any) -> JudgeConfig:
    frame = {**bench.frame(JUDGEMENTS, responses=responses), "serving": endpoint(server, options.pop("concurrency", 4))}
    return JudgeConfig(**{**frame, "iteration": 1, "settings": JudgeSettings(), **options})


def put_responses(bench: Bench, count: int = 6, candidates: int = 4, artifact: str = "responses") -> InputRef:
    rows = [
        {
            "id": f"1-{n:06d}",
            "prompt": f"What is {n}?",
            "candidates": [
                {"text": f"It is {n} or {c} " * (c + 1), "finish_reason": "stop"} for c in range(candidates)
            ],
            "tokens": 9,
        }
        for n in range(count)
    ]
    return bench.put(artifact, responses=rows)
