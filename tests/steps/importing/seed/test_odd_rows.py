"""Rows and mappings that nobody meant: each refused in one line with its row, or taken as it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from selfreward_steps.errors import PermanentError
from steps.importing.seed.seeding import seed

GOOD: Final = {"prompt": "Why?", "response": "Because."}
BIG: Final = "1" + "0" * 400
DEEP: Final = "[" * 200_000


def refusal(folder: Path, role: str, text: str, ending: str = "jsonl", **source: Any) -> str:
    """What the import says of a file with that text, which must be a refusal."""
    path = folder / f"data.{ending}"
    path.write_text(text)
    with pytest.raises(PermanentError) as caught:
        seed(folder, {role: {"uri": path.as_uri(), **source}})
    assert caught.value.reason == "BadSeedData"
    return str(caught.value).replace(str(folder), "")


def flat(number: str) -> str:
    """Two answers of a prompt, the first with that score."""
    return '{"prompt":"p","response":"a","score":NUMBER}\n{"prompt":"p","response":"b","score":0}\n'.replace(
        "NUMBER", number
    )


@pytest.mark.parametrize(
    ("role", "text", "said"),
    [
        pytest.param("instructions", DEEP + "\n", "line 1: not JSON: it is nested", id="nested"),
        pytest.param(
            "instructions",
            json.dumps(GOOD) + "\n" + '{"prompt":"p","response":' + DEEP + "\n",
            "line 2: not JSON: it is nested",
            id="nested in a row",
        ),
        pytest.param("rankings", flat(BIG), "line 1: score is 1000", id="a score that no float holds"),
        pytest.param(
            "eft",
            '{"prompt":"p","response":"r","critique":"c","score":' + BIG + "}",
            "line 1: score is 1000",
            id="a judgement that no float holds",
        ),
        pytest.param(
            "instructions",
            '{"messages":[{"role":["user"],"content":"x"}]}',
            "line 1: messages[0].role is ['user'], expected user",
            id="a list as a role",
        ),
        pytest.param(
            "rankings",
            '{"message_tree_id":"t","prompt":{"role":"prompter","text":"a","replies":"none"}}',
            "line 1: prompt.replies is 'none', expected a list of messages",
            id="replies of a tree",
        ),
        pytest.param(
            "rankings",
            r'{"message_tree_id":"t","prompt":{"role":"prompter","text":"half \ud800","replies":[]}}',
            "line 1: text holds half a surrogate pair",
            id="half a pair in a tree",
        ),
    ],
)
def test_a_row_that_cannot_be_meant(tmp_path: Path, role: str, text: str, said: str) -> None:
    assert f"seedData.{role}: file:///data.jsonl, {said}" in refusal(tmp_path, role, text)


@pytest.mark.parametrize("text", [DEEP, '[{"prompt":"p","response":"r","score":' + "9" * 5000 + "}]"])
def test_a_document_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, "instructions", text, "json").startswith(
        "seedData.instructions: file:///data.json: not JSON:"
    )


def test_half_a_pair_in_an_id_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({**GOOD, "id": "\ud800"}) + "\n")
    rows, _ = seed(tmp_path, {"instructions": {"uri": path.as_uri()}})
    assert [row["id"] for row in rows["instructions"]] == [r"\ud800"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"prompt": "q", "chosen": "best", "rejected": "best"},
            "seedData.rankings.columns: file:///data.jsonl: chosen and rejected are both 'best'",
        ),
        (
            {"prompt": "title", "chosen": "best"},
            "seedData.rankings.columns.prompt: file:///data.jsonl, line 1: 'title' is no column; found q, best, worst",
        ),
        (
            {"prompt": "q", "chosen": "best", "rejected": "worst"},
            "seedData.rankings.columns.rejected: file:///data.jsonl, line 2: 'worst' is no column; found q, best",
        ),
    ],
    ids=["the same twice", "none of that name", "none in a later row"],
)
def test_columns_that_do_not_fit(tmp_path: Path, columns: dict[str, str], said: str) -> None:
    text = '{"q":"Why?","best":"Because.","worst":"No."}\n{"q":"How?","best":"So."}\n'
    assert refusal(tmp_path, "rankings", text, columns=columns).startswith(said)
