"""A model's answers in the file formats of AlpacaEval and MT-Bench, so that their own tools can judge them. Pure.

AlpacaEval reads a list of `instruction`, `output`, `generator`, `dataset`; FastChat's MT-Bench reads one answer a line,
`data/mt_bench/model_answer/MODEL.jsonl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

from selfreward_steps.rows import QuestionRow

DATASET = "selfreward"


def alpaca_outputs(answers: Iterable[tuple[str, str]], generator: str) -> list[dict[str, str]]:
    """The rows of AlpacaEval's `model_outputs.json`, from prompts and answers."""
    return [
        {"instruction": prompt, "output": answer, "generator": generator, "dataset": DATASET}
        for prompt, answer in answers
    ]


def mt_bench_answers(
    questions: Iterable[QuestionRow], turns: Iterable[Sequence[str]], model: str
) -> Iterator[dict[str, Any]]:
    """The lines of `model_answer/MODEL.jsonl`; `turns` are the answers to each question.

    FastChat joins by number where question ids are numbers. Its ids are random and its `tstamp` the time; here both
    follow from the content, so that the same evaluation gives the same file.
    """
    for question, texts in zip(questions, turns, strict=True):
        identifier = question["id"]
        digest = sha256("\x1f".join((model, identifier, *texts)).encode()).hexdigest()
        yield {
            "question_id": int(identifier) if identifier.isdecimal() else identifier,
            "answer_id": digest[:22],
            "model_id": model,
            "choices": [{"index": 0, "turns": list(texts)}],
            "tstamp": 0.0,
        }
