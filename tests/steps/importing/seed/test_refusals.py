"""Broken seed data: one line that names the field, the file, the row, the value and what to do."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from selfreward_steps.errors import PermanentError
from steps.importing.seed.seeding import FIELD, seed

USER = {"role": "user", "content": "Say hi"}
HI = {"role": "assistant", "content": "Hi"}
GOOD_RANKING = {"prompt": "Say hi", "answers": [{"content": "Hi", "rank": 0}, {"content": "No", "rank": 1}]}
EFT = {"prompt": "Say hi", "response": "Hi", "critique": "Fine", "score": 4}


def ranked(*answers: Any) -> dict[str, Any]:
    return {"prompt": "Say hi", "answers": list(answers)}


def refused(tmp_path: Path, role: str, path: Path, **source: Any) -> str:
    with pytest.raises(PermanentError) as caught:
        seed(tmp_path, {role: {"uri": path.as_uri(), **source}})
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(FIELD[role])
    return str(caught.value)


@pytest.mark.parametrize(
    ("role", "name", "content", "expected"),
    [
        ("instructions", "in.jsonl", b"", ["in.jsonl: the file is empty"]),
        ("instructions", "in.jsonl", b"\n \n", ["it has no rows"]),
        ("instructions", "in.jsonl", b'{"messages": []}\n{"mess', ["in.jsonl, line 1: messages is []"]),
        ("prompts", "in.jsonl", b'{"prompt": "a"}\n{"promp', ["line 2, the last line, is cut off: not JSON"]),
        ("prompts", "in.jsonl", b'{"prompt": "a"}\n[1]\n', ["line 2: a row is a JSON object", "'[1]'"]),
        ("prompts", "in.jsonl", b'{"prompt": "a"}\n{"prompt": "\xff"}\n', ["line 2: byte 28 (0xff) is not UTF-8"]),
        ("prompts", "in.jsonl", b'{"prompt": "\\ud83d"}\n', ["line 1: prompt holds half a surrogate pair"]),
        ("prompts", "in.json", b'{"prompt": "a"}\n{"prompt": "b"}', ["line 2: not JSON: Extra data", "name it .jsonl"]),
        ("prompts", "in.json", b'"a"', ["a .json file holds a list of rows"]),
        ("prompts", "in.json", b"[", ["in.json, line 1: not JSON"]),
        ("prompts", "in.json", b"[]", ["it has no rows"]),
        ("prompts", "in.parquet", b"PAR1 and no more", ["in.parquet, after row 0: not whole Parquet"]),
        ("prompts", "in.jsonl.gz", gzip.compress(b'{"prompt": "a"}\n' * 99)[:-20], ["compressed file is cut off"]),
        ("prompts", "in.csv", b"prompt\na\n", ["the name ends in '.csv': use one of .jsonl"]),
    ],
    ids=[
        "empty", "blank", "bad-before-torn", "torn", "not-a-row", "not-utf-8", "surrogate", "jsonl-named-json",
        "json-scalar", "json-torn", "json-empty", "parquet-torn", "gzip-torn", "csv",
    ],
)  # fmt: skip
def test_a_broken_file(tmp_path: Path, role: str, name: str, content: bytes, expected: list[str]) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = refused(tmp_path, role, path)
    assert all(part in message for part in expected), message


def test_a_torn_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"prompt": [str(number) for number in range(5000)]}), path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "not whole Parquet" in refused(tmp_path, "prompts", path)


@pytest.mark.parametrize(
    ("role", "row", "expected"),
    [
        ("instructions", {"question": "x", "topic": 1}, "line 2: found columns question, topic; expected messages | "),
        ("instructions", {"messages": [USER]}, "line 2: no message is from the assistant"),
        ("instructions", {"messages": [USER, USER, HI]}, "message 2 is from 'user', expected 'assistant'"),
        ("instructions", {"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role is 'tool'"),
        ("instructions", {"messages": [USER, {**HI, "content": " "}]}, "messages[1].content is empty"),
        ("instructions", {"messages": [USER, {**HI, "content": 3}]}, "messages[1].content is 3, expected text"),
        ("instructions", {"messages": "Say hi"}, "messages is 'Say hi', expected a list of messages"),
        ("instructions", {"messages": [USER, {**HI, "content": [{"type": "image"}]}]}, "a part that is not text"),
        ("instructions", {"instruction": "Say hi", "output": None}, "output is null, expected text"),
        ("rankings", ranked({"content": "Hi", "rank": 0}), "has one answer: a ranking needs two or more"),
        ("rankings", ranked(), "has no answers"),
        ("rankings", ranked({"content": "Hi", "rank": "best"}, {"content": "No", "rank": 1}),
         "answers[0].rank is 'best', expected a number"),
        ("rankings", ranked({"content": "Hi"}, {"content": "No"}), "answers[0].rank is missing"),
        ("rankings", ranked("Hi", "No"), "answers[0] is 'Hi', expected content and rank"),
        ("rankings", ranked({"content": "", "rank": 0}, {"content": "No", "rank": 1}), "answers[0].content is empty"),
        ("rankings", {"prompt": "x", "answers": "y"}, "answers is 'y', expected a list"),
        ("rankings", {"prompt": "x", "response": "y", "score": 3}, "prompt 'x' has one answer"),
        ("rankings", {"messages": [USER, HI]}, "found columns messages; expected prompt, answers"),
        ("eft", {**EFT, "score": 6}, "score is 6, expected 0 … 5, the judge's scale"),
        ("eft", {**EFT, "score": None}, "score is null, expected 0 … 5"),
        ("eft", {**EFT, "score": True}, "score is True, expected a number"),
        ("eft", {**EFT, "score": "4"}, "score is '4', expected a number"),
        ("eft", {"prompt": "x", "response": "y"}, "found columns prompt, response; expected prompt, resp"),
        ("prompts", {"prompt": "  "}, "prompt is empty"),
        ("prompts", {"title": "x"}, "found columns title; expected messages"),
    ],
)  # fmt: skip
def test_a_bad_row(tmp_path: Path, role: str, row: Any, expected: str) -> None:
    path = tmp_path / "in.jsonl"
    # A blank first line: the line that is named must be the file's own.
    path.write_text("\n" + json.dumps(row) + "\n")
    message = refused(tmp_path, role, path)
    assert expected in message, message
    assert f"{path}, line 2" in message


GOOD = {
    "instructions": {"messages": [USER, HI]},
    "rankings": GOOD_RANKING,
    "eft": EFT,
    "prompts": {"prompt": "Say hi"},
}


@pytest.mark.parametrize("role", GOOD)
def test_a_bad_row_after_good_ones(tmp_path: Path, role: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(GOOD[role]) + "\n" + json.dumps({"other": 1}) + "\n")
    assert f"{path}, line 2: " in refused(tmp_path, role, path)


def test_all_tied_says_what_was_left_out(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    tied = ranked({"content": "Hi", "rank": 1}, {"content": "No", "rank": 1})
    path.write_text(json.dumps(tied) + "\n")
    assert "no row of it can be used: left out: 1 unordered" in refused(tmp_path, "rankings", path)


def test_one_prompt_id_with_two_prompts(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    rows = [{"prompt_id": "p", "prompt": text, "response": "y", "score": 1} for text in ("a", "b")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "line 2: prompt_id 'p' has another prompt than in" in refused(tmp_path, "rankings", path)


def test_a_format_that_the_role_cannot_have(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(EFT))
    assert refused(tmp_path, "rankings", path, format="eft") == (
        "seedData.rankings.format: eft: it cannot be read as seedData.rankings: use one of auto, ranked, oasst"
    )


def test_a_folder(tmp_path: Path) -> None:
    assert "it is a folder: name one file" in refused(tmp_path, "prompts", tmp_path)
