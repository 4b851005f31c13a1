"""lm-eval's task files in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from steps.evaluation.own_tasks import (
    WORDS,
    questions,
    write_task,
)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder with a multiple-choice task and one that is answered freely."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    words = [{"question": f"Repeat: {word}", "answer": word} for word in WORDS]
    for name, rows in (("colours", questions(12)), ("repeating", words)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metric = {"aggregation": "mean", "higher_is_better": True}
    colours = {
        "output_type": "multiple_choice",
        "doc_to_choice": "choices",
        "metric_list": [{"metric": "acc", **metric}],
    }
    repeating = {
        "output_type": "generate_until",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8},
        "filter_list": [{"name": "last-word", "filter": [_regex(r"(\w+)$"), {"function": "take_first"}]}],
        "metric_list": [{"metric": "exact_match", **metric}],
    }
    for name, content in (("colours", colours), ("repeating", repeating)):
        write_task(folder, name, content)
    return folder


def _regex(pattern: str) -> dict[str, str]:
    return {"function": "regex", "regex_pattern": pattern}
