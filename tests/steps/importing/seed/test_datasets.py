"""Good seed data in every shape, and what is left out of it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from selfreward_steps.errors import PermanentError
from steps.importing.seed.seeding import seed, write

CHAT = [{"role": "user", "content": "Say hi"}, {"role": "assistant", "content": "Hi"}]
RANKED = {"prompt": "Say hi", "answers": [{"content": "Hi", "rank": 0}, {"content": "No", "rank": 1}]}


def message(identifier: str, parent: str | None, role: str, text: str, **more: Any) -> dict[str, Any]:
    return {"message_id": identifier, "parent_id": parent, "role": role, "text": text, "lang": "en", **more}


OASST = [
    message("a2", "a", "assistant", "worse", rank=1),  # before its own prompt: no order is relied on
    message("a", None, "prompter", "First?", rank=None),
    message("a1", "a", "assistant", "best", rank=0),
    message("a3", "a", "assistant", "unranked", rank=None),
    message("a11", "a1", "prompter", "And then?", rank=None),
    message("a111", "a11", "assistant", "deeper", rank=0),
    message("b", None, "prompter", "Zweite?", lang="de"),
    message("b1", "b", "assistant", "beste", rank=0, lang="de"),
    message("c", None, "prompter", "Third?"),
    message("c1", "c", "assistant", "only", rank=0),
    message("d", None, "prompter", "Gone?", deleted=True),
]
TREE = {
    "message_tree_id": "a",
    "prompt": {
        **message("a", None, "prompter", "First?"),
        "replies": [
            message("a2", "a", "assistant", "worse", rank=1, replies=[]),
            message("a1", "a", "assistant", "best", rank=0, replies=[]),
            message("a3", "a", "assistant", "removed", rank=2, deleted=True),
        ],
    },
}


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"messages": CHAT}, CHAT),
        ({"conversations": [{"from": "human", "value": "Say hi"}, {"from": "gpt", "value": "Hi"}]}, CHAT),
        ({"messages": [{**CHAT[0], "content": [{"type": "text", "text": "Say hi"}]}, CHAT[1]]}, CHAT),
        ({"instruction": "Say hi", "input": "", "output": "Hi"}, CHAT),
        ({"instruction": "Say hi", "output": "Hi", "score": 4}, CHAT),
        ({"prompt": "Say hi", "completion": "Hi"}, CHAT),
        (
            {"instruction": "Say", "instances": [{"input": "", "output": "Hi"}]},
            [{**CHAT[0], "content": "Say"}, CHAT[1]],
        ),
        ({"instruction": "Say", "input": "hi", "output": "Hi"}, [{**CHAT[0], "content": "Say\n\nhi"}, CHAT[1]]),
        (RANKED, CHAT),
    ],
    ids=["messages", "sharegpt", "parts", "alpaca", "scored", "completion", "self-instruct", "with-input", "ranked"],
)
def test_instructions_are_recognised_by_their_columns(tmp_path: Path, row: Any, messages: Any) -> None:
    rows, metadata = seed(tmp_path, {"instructions": write(tmp_path / "in.jsonl", [row])})
    assert [found["messages"] for found in rows["instructions"]] == [messages]
    assert metadata["counts"] == {"instructions": 1}


@pytest.mark.parametrize(
    ("rows", "answers"),
    [
        ([RANKED], [("Hi", 0), ("No", 1)]),
        ([{**RANKED, "answers": [{"content": c, "rank": r} for c, r in [("x", 3), ("Hi", 1), ("y", 3)]]}],
         [("Hi", 0), ("x", 1), ("y", 1)]),
        ([{**RANKED, "answers": [{"text": "No", "score": 1.5}, {"text": "Hi", "score": 4}]}], [("Hi", 0), ("No", 1)]),
        ([{"prompt": "Say hi", "chosen": "Hi", "rejected": "No"}], [("Hi", 0), ("No", 1)]),
        ([{"prompt": "Say hi", "chosen": CHAT, "rejected": [CHAT[0], {"role": "assistant", "content": "No"}]}],
         [("Hi", 0), ("No", 1)]),
        ([{"prompt_id": "p", "prompt_text": "Say hi", "response_text": text, "quality_score": score}
          for text, score in [("No", 0.1), ("Hi", 0.9), ("Hm", None)]], [("Hi", 0), ("No", 1)]),
    ],
    ids=["ranks", "ties", "scores", "chosen", "chosen-chats", "flat"],
)  # fmt: skip
def test_rankings_become_ranks_from_zero(tmp_path: Path, rows: Any, answers: Any) -> None:
    found, _ = seed(tmp_path, {"rankings": write(tmp_path / "in.jsonl", rows)})
    (ranking,) = found["rankings"]
    assert ranking["prompt"] == "Say hi"
    assert [(answer["content"], answer["rank"]) for answer in ranking["answers"]] == answers


@pytest.mark.parametrize("rows", [OASST, [TREE]], ids=["flat", "trees"])
def test_open_assistant_gives_first_turns_best_answers_and_rankings(tmp_path: Path, rows: Any) -> None:
    source = write(tmp_path / "in.jsonl", rows)
    found, metadata = seed(tmp_path, {"instructions": source, "rankings": source, "prompts": source})
    first = found["instructions"][0]
    assert first["id"] == "a"
    assert [each["content"] for each in first["messages"]] == ["First?", "best"]
    assert found["rankings"] == [
        {"id": "a", "prompt": "First?", "answers": [{"content": "best", "rank": 0}, {"content": "worse", "rank": 1}]}
    ]
    assert found["prompts"][0] == {"id": "a", "prompt": "First?"}
    if rows is OASST:
        assert [row["id"] for row in found["instructions"]] == ["a", "c"]
        counts = metadata["counts"]
        assert (counts["instructions_other_languages"], counts["rankings_unordered"]) == (1, 1)
        assert counts["rankings_unscored"] == 1


def test_ready_judgements_keep_their_score(tmp_path: Path) -> None:
    row = {"prompt": "Say hi", "response": "Hi", "critique": "Fine. Score: 4", "score": 4}
    rows, _ = seed(
        tmp_path, {"eft": write(tmp_path / "in.jsonl", [row, row, {**row, "critique": "Other", "score": 5}])}
    )
    assert [{key: found[key] for key in row} for found in rows["eft"]] == [
        row,
        {**row, "critique": "Other", "score": 5},
    ]


def test_a_judge_of_ten_points_takes_ten(tmp_path: Path) -> None:
    row = {"prompt": "Say hi", "response": "Hi", "critique": "", "score": 10}
    rows, _ = seed(tmp_path, {"eft": write(tmp_path / "in.jsonl", [row])}, minScore=1, maxScore=10)
    assert rows["eft"][0]["score"] == 10


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Say hi"},
        {"question": "Say hi"},
        {"messages": CHAT[:1]},
        RANKED,
        {"instruction": "Say hi", "output": ""},
    ],
    ids=["prompt", "question", "messages", "ranked", "alpaca"],
)
def test_prompts_need_no_answers(tmp_path: Path, row: Any) -> None:
    rows, _ = seed(tmp_path, {"prompts": write(tmp_path / "in.jsonl", [row])})
    assert [found["prompt"] for found in rows["prompts"]] == ["Say hi"]


def test_duplicates_are_removed_and_counted(tmp_path: Path) -> None:
    other = {"messages": [CHAT[0], {"role": "assistant", "content": "Hello"}]}
    rows, metadata = seed(tmp_path, {"instructions": write(tmp_path / "in.jsonl", [{"messages": CHAT}, other])})
    assert len(rows["instructions"]) == 1
    assert metadata["counts"] == {"instructions": 1, "instructions_duplicates": 1}


def test_ids_are_kept_unique_and_stable(tmp_path: Path) -> None:
    given = [
        {"id": "x", "prompt": "One"},
        {"id": "x", "prompt": "Two"},
        {"prompt": "Three"},
        {"id": 4, "prompt": "Four"},
    ]
    source = {"prompts": write(tmp_path / "in.jsonl", given)}
    first, second = (seed(tmp_path, source)[0]["prompts"] for _ in range(2))
    ids = [row["id"] for row in first]
    assert first == second
    assert (ids[0], ids[3], len(set(ids))) == ("x", "4", 4)
    shuffled, _ = seed(tmp_path, {"prompts": write(tmp_path / "in.jsonl", given[::-1])})
    assert [row["id"] for row in shuffled["prompts"] if row["prompt"] == "Three"] == [ids[2]]


def test_system_messages_are_counted_for_templates_that_reject_them(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "system", "content": "Be kind"}, *CHAT]}]
    _, metadata = seed(tmp_path, {"instructions": write(tmp_path / "in.jsonl", rows)})
    assert (metadata["system_messages"], metadata["counts"]) == (1, {"instructions": 1})


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".parquet", ".jsonl.gz"])
def test_every_file_format_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    rows = [{"prompt": f"Prompt é {index}"} for index in range(600)]
    path = tmp_path / f"in{ending}"
    match ending:
        case ".jsonl":
            path.write_text("\ufeff" + "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
        case ".json":
            path.write_text(json.dumps({"data": rows}))
        case ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        case _:
            path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    found, _ = seed(tmp_path, {"prompts": {"uri": path.as_uri()}})
    assert [row["prompt"] for row in found["prompts"]] == [row["prompt"] for row in rows]
    limited, _ = seed(tmp_path, {"prompts": {"uri": path.as_uri(), "limit": 7}})
    assert len(limited["prompts"]) == 7


def test_parquet_with_nested_columns(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"messages": CHAT}, {"messages": CHAT[:0] + CHAT}]), path)
    rows, _ = seed(tmp_path, {"instructions": {"uri": path.as_uri(), "format": "messages"}})
    assert rows["instructions"][0]["messages"] == CHAT


@pytest.mark.parametrize(
    ("role", "row", "columns", "like"),
    [
        ("instructions", {"q": "Say hi", "a": "Hi", "prompt": "an id"}, {"prompt": "q", "response": "a"},
         {"prompt": "Say hi", "response": "Hi"}),
        ("instructions", {"talk": CHAT, "rules": "Be brief."}, {"messages": "talk", "system": "rules"},
         {"messages": CHAT, "system": "Be brief."}),
        ("rankings", {"q": "Say hi", "win": "Hi", "lose": "No"}, {"prompt": "q", "chosen": "win", "rejected": "lose"},
         {"prompt": "Say hi", "chosen": "Hi", "rejected": "No"}),
        ("rankings", {"prompt": "Say hi", "options": RANKED["answers"]}, {"answers": "options"}, RANKED),
        ("eft", {"prompt": "a", "response": "b", "why": "c", "points": 2}, {"critique": "why", "score": "points"},
         {"prompt": "a", "response": "b", "critique": "c", "score": 2}),
        ("prompts", {"title": "Say hi"}, {"prompt": "title"}, {"prompt": "Say hi"}),
    ],
    ids=["over-another", "system", "pair", "nested", "eft", "prompts"],
)  # fmt: skip
def test_columns_may_have_names_of_their_own(tmp_path: Path, role: str, row: Any, columns: Any, like: Any) -> None:
    found, metadata = seed(tmp_path, {role: {**write(tmp_path / "own.jsonl", [row]), "columns": columns}})
    known, _ = seed(tmp_path, {role: write(tmp_path / "known.jsonl", [like])})
    assert found[role] == known[role]
    assert metadata["counts"] == {role: 1}


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    source = {**write(tmp_path / "in.jsonl", [{"title": "Say hi"}]), "columns": {"prompt": "titel"}}
    with pytest.raises(
        PermanentError, match=r"prompts.source.columns.prompt: .*line 1: 'titel' is no column; found title"
    ):
        seed(tmp_path, {"prompts": source})
