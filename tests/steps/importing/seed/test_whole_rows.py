"""No part of a row vanishes: system messages and earlier turns are kept, or the row is refused or counted."""

from pathlib import Path
from typing import Any

import pytest
from selfreward_steps.errors import PermanentError
from steps.importing.seed.seeding import seed, write

SYSTEM = {"role": "system", "content": "Answer in French."}
RIVER = {"role": "user", "content": "Name a river in Spain."}
EBRO = {"role": "assistant", "content": "L'Ebre."}
LONG = {"role": "user", "content": "How long is it?"}
TRANSCRIPT = "\n\nHuman: Name a river in Spain.\n\nAssistant: L'Ebre.\n\nHuman: How long is it?\n\nAssistant: "
TALK = [SYSTEM, RIVER, EBRO, LONG]
TALK_TEXT = "Answer in French.\n\nName a river in Spain.\n\nAssistant: L'Ebre.\n\nUser: How long is it?"
GOOD, BAD = "Environ 909 km.", "Bleu."


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def imported(tmp_path: Path, role: str, *rows: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    found, metadata = seed(tmp_path, {role: write(tmp_path / "in.jsonl", list(rows))})
    return found[role], metadata


def refused(tmp_path: Path, role: str, row: Any) -> str:
    with pytest.raises(PermanentError) as caught:
        imported(tmp_path, role, row)
    return str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": TALK, "chosen": [said(GOOD)], "rejected": [said(BAD)]},
        {"prompt": TALK, "chosen": said(GOOD), "rejected": said(BAD)},
        {"prompt": TALK, "chosen": GOOD, "rejected": BAD},
        {"prompt": TALK, "chosen": [*TALK, said(GOOD)], "rejected": [*TALK, said(BAD)]},
        {"prompt": TALK, "chosen": [LONG, said(GOOD)], "rejected": [LONG, said(BAD)]},
        {"prompt": RIVER["content"], "chosen": [*TALK, said(GOOD)], "rejected": [*TALK, said(BAD)]},
        {"prompt": LONG["content"], "chosen": [*TALK, said(GOOD)], "rejected": [*TALK, said(BAD)]},
        {"prompt": TALK[:2], "chosen": [EBRO, LONG, said(GOOD)], "rejected": [EBRO, LONG, said(BAD)]},
        {"system": SYSTEM["content"], "chosen": [*TALK[1:], said(GOOD)], "rejected": [*TALK[1:], said(BAD)]},
        {"chosen": [*TALK, said(GOOD)], "rejected": [*TALK, said(BAD)]},
        {"system": SYSTEM["content"], "chosen": TRANSCRIPT + GOOD, "rejected": TRANSCRIPT + BAD},
        {"prompt": TALK, "chosen": TRANSCRIPT + GOOD, "rejected": TRANSCRIPT + BAD},
        {
            "system": SYSTEM["content"],
            "question": LONG["content"],
            "history": [[RIVER["content"], EBRO["content"]]],
            "chosen": GOOD,
            "rejected": BAD,
        },
        {"prompt": TALK, "answers": [{"content": GOOD, "rank": 0}, {"content": BAD, "rank": 1}]},
    ],
    ids=[
        "explicit-prompt", "lone-messages", "texts", "whole-chats", "last-question-again", "first-question-as-prompt",
        "last-question-as-prompt", "continued", "system-column", "implicit-prompt", "transcripts",
        "transcripts-and-prompt", "columns", "nested",
    ],
)  # fmt: skip
def test_ranked_answers_keep_what_was_asked(tmp_path: Path, row: Any) -> None:
    (ranking,), metadata = imported(tmp_path, "rankings", row)
    assert (ranking["messages"], ranking["prompt"]) == (TALK, TALK_TEXT)
    assert [answer["content"] for answer in ranking["answers"]] == [GOOD, BAD]
    assert metadata["counts"] == {"rankings": 1}


@pytest.mark.parametrize(("label", "best"), [(1, "first"), (0, "second")])
def test_a_label_of_shp_names_the_preferred_answer(tmp_path: Path, label: int, best: str) -> None:
    row = {"history": "Say hi", "human_ref_A": "first", "human_ref_B": "second", "labels": label, "score_A": 4}
    (ranking,), metadata = imported(tmp_path, "rankings", row)
    assert (ranking["prompt"], ranking["answers"][0]["content"]) == ("Say hi", best)
    assert metadata["counts"] == {"rankings": 1}
    assert "labels is 2, expected 0 or 1" in refused(tmp_path, "rankings", {**row, "labels": 2})


def test_flat_answers_are_told_apart_by_all_that_was_asked(tmp_path: Path) -> None:
    rows = [
        {"system": system, "prompt": "Say hi", "response": text, "score": score}
        for system in ("Be brief.", "Be kind.")
        for text, score in (("Hi", 2), ("No", 1))
    ]
    found, _ = imported(tmp_path, "rankings", *rows)
    assert [ranking["prompt"] for ranking in found] == ["Be brief.\n\nSay hi", "Be kind.\n\nSay hi"]


def test_a_chat_that_ends_with_the_user_ranks_the_assistants_answers(tmp_path: Path) -> None:
    row = {
        "prompt": "Say a colour.",
        "chosen": [{"role": "user", "content": "Say a colour."}, said("Red"), {"role": "user", "content": "Thanks!"}],
        "rejected": [{"role": "user", "content": "Say a colour."}, said("7"), {"role": "user", "content": "What?"}],
    }
    (ranking,), metadata = imported(tmp_path, "rankings", row)
    assert (ranking["prompt"], [answer["content"] for answer in ranking["answers"]]) == ("Say a colour.", ["Red", "7"])
    assert metadata["counts"] == {"rankings": 1, "rankings_cut_after_answer": 2}
    nobody = {**row, "rejected": row["rejected"][:1]}
    assert "rejected has no message of the assistant" in refused(tmp_path, "rankings", nobody)


GOOD_PAIR = {"prompt": "Say hi", "chosen": "Hi", "rejected": "No"}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": "Say hi", "chosen": [RIVER, said("Ebro"), LONG, said(GOOD)],
          "rejected": [RIVER, said("Tajo"), LONG, said(BAD)]}, "other_prompt"),
        ({"chosen": [RIVER, said("Ebro"), LONG, said(GOOD)], "rejected": [RIVER, said("Tajo"), LONG, said(BAD)]},
         "diverging"),
        ({"prompt": [SYSTEM, RIVER], "chosen": [{**SYSTEM, "content": "In Greek."}, RIVER, EBRO],
          "rejected": [RIVER, EBRO]}, "other_prompt"),
        ({"chosen": "\n\nHuman: Hm?\n\nAssistant: Hm.", "rejected": "\n\nHuman: Hm?\n\nAssistant:"}, "silent_turns"),
        ({"chosen": "\n\nHuman: Hm?\n\nAssistant: Hm.", "rejected": "\n\nHuman: Ha?\n\nAssistant: Ha."}, "diverging"),
        ({**GOOD_PAIR, "score_chosen": 7.5, "score_rejected": 7.5}, "unordered"),
        ({**GOOD_PAIR, "chosen-rating": 4, "rejected-rating": 4}, "unordered"),
        ({**GOOD_PAIR, "status": "tie"}, "unordered"),
        ({**GOOD_PAIR, "chosen_score": 1, "rejected_score": 2}, "contradicted"),
        ({**GOOD_PAIR, "tools": [{"name": "weather"}]}, "with_tools"),
        ({**GOOD_PAIR, "images": ["a.png"]}, "with_images"),
    ],
)  # fmt: skip
def test_rows_that_carry_no_order_are_counted(tmp_path: Path, row: Any, why: str) -> None:
    (ranking,), metadata = imported(tmp_path, "rankings", row, GOOD_PAIR)
    assert ranking["prompt"] == "Say hi"
    assert metadata["counts"] == {"rankings": 1, f"rankings_{why}": 1}


def test_scores_that_agree_or_are_missing_keep_a_pair(tmp_path: Path) -> None:
    rows = [
        {**GOOD_PAIR, "score_chosen": 8, "score_rejected": 2},
        {**GOOD_PAIR, "prompt": "Say ho", "score_chosen": None, "score_rejected": 2},
    ]
    found, metadata = imported(tmp_path, "rankings", *rows)
    assert [[answer["rank"] for answer in ranking["answers"]] for ranking in found] == [[0, 1], [0, 1]]
    assert metadata["counts"] == {"rankings": 2}


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": LONG["content"], "input": "", "output": GOOD, "system": SYSTEM["content"],
         "history": [[RIVER["content"], EBRO["content"]]]},
        {"instruction": LONG["content"], "output": GOOD, "system": SYSTEM["content"], "history": [RIVER, EBRO]},
        {"system_prompt": SYSTEM["content"], "prompt": TALK[1:], "response": GOOD},
        {"system": SYSTEM["content"], "conversations": [
            {"from": "human", "value": RIVER["content"]}, {"from": "gpt", "value": EBRO["content"]},
            {"from": "human", "value": LONG["content"]}, {"from": "gpt", "value": GOOD}]},
        {"system": SYSTEM["content"], "conversation": [
            {"input": RIVER["content"], "output": EBRO["content"]}, {"input": LONG["content"], "output": GOOD}]},
        {"system": SYSTEM["content"], "messages": [*TALK, said(GOOD)]},
        {"system": SYSTEM["content"], "conversations": [RIVER["content"], EBRO["content"], LONG["content"], GOOD]},
        {"prompt": TALK, "chosen": GOOD, "rejected": BAD},
    ],
    ids=["alpaca", "history-messages", "prompt-messages", "sharegpt", "pairs", "both", "texts", "ranked"],
)  # fmt: skip
def test_instructions_keep_system_and_history(tmp_path: Path, row: Any) -> None:
    (chat,), metadata = imported(tmp_path, "instructions", row)
    assert chat["messages"] == [*TALK, said(GOOD)]
    assert metadata["system_messages"] == 1, "the model's template is asked whether it takes one"
    assert metadata["counts"] == {"instructions": 1}


def test_an_instruction_keeps_its_context(tmp_path: Path) -> None:
    row = {"instruction": "Who wrote it?", "context": "Emma is by Jane Austen.", "response": "Jane Austen."}
    (chat,), _ = imported(tmp_path, "instructions", row)
    assert chat["messages"][0]["content"] == "Who wrote it?\n\nEmma is by Jane Austen."


def test_what_is_cut_or_left_out_of_chats_is_counted(tmp_path: Path) -> None:
    ends_with_user = {"messages": [RIVER, EBRO, LONG]}
    thought = {"messages": [LONG, {**said(GOOD), "reasoning_content": "The Ebro …"}]}
    found, metadata = imported(tmp_path, "instructions", ends_with_user, thought)
    assert found[0]["messages"] == [RIVER, EBRO]
    counts = {"instructions": 2, "instructions_cut_after_answer": 1, "instructions_thoughts_left_out": 1}
    assert metadata["counts"] == counts


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": [{**SYSTEM, "content": "x"}, RIVER, EBRO], "system": "y"}, "different system messages: keep one"),
        ({"messages": [RIVER, SYSTEM, EBRO]}, "messages has a system message among its turns: put it first"),
        ({"messages": [RIVER, {**EBRO, "tool_calls": [{"name": "x"}]}]}, "messages[1] calls tools"),
        ({"instruction": "a", "output": "b", "history": "earlier"}, "history is 'earlier', expected a list of pairs"),
        ({"instruction": "a", "output": "b", "history": [["c"]]}, "history[0] is ['c'], expected a question and its"),
        ({"prompt": [RIVER, EBRO], "response": "b"}, "the answer follows no message of the user"),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path: Path, row: Any, expected: str) -> None:
    assert expected in refused(tmp_path, "instructions", row)


def test_ready_judgements_are_of_the_whole_conversation(tmp_path: Path) -> None:
    row = {"prompt": TALK, "response": GOOD, "critique": "Right. Score: 5", "score": 5}
    (judgement,), _ = imported(tmp_path, "eft", row)
    assert judgement["prompt"] == TALK_TEXT


def test_a_prompt_has_its_system_message_and_later_questions_are_counted(tmp_path: Path) -> None:
    (chat,), metadata = imported(tmp_path, "prompts", {"messages": TALK})
    assert chat["prompt"] == "Answer in French.\n\nName a river in Spain."
    assert metadata["counts"] == {"prompts": 1, "prompts_later_turns": 1}
    (plain,), metadata = imported(tmp_path, "prompts", {"system": "Be brief.", "prompt": "Say hi"})
    assert (plain["prompt"], metadata["counts"]) == ("Be brief.\n\nSay hi", {"prompts": 1})


@pytest.mark.parametrize(
    "row",
    [
        {"context": TALK, "response1": BAD, "response2": GOOD, "overall_preference": 2},
        {"prompt": TALK, "response_1": GOOD, "response_2": BAD, "preference_strength": -1},
        {"prompt": TALK, "completions": [
            {"model": "a", "response": BAD, "overall_score": 1.5}, {"response": GOOD, "overall_score": 8}]},
        {"system_prompt": SYSTEM["content"], "answers": [{"answer": BAD, "rank": 2.0}, {"answer": GOOD, "rank": 1.0}],
         "prompt": "\n\nHuman: Name a river in Spain.\n\nAssistant: L'Ebre.\n\nHuman: How long is it?\n\nAssistant: "},
    ],
    ids=["helpsteer-3", "helpsteer-2", "ultrafeedback", "nectar"],
)  # fmt: skip
def test_the_fields_other_shapes_of_rankings(tmp_path: Path, row: Any) -> None:
    (ranking,), _ = imported(tmp_path, "rankings", row)
    assert ranking["messages"] == TALK
    assert [(answer["content"], answer["rank"]) for answer in ranking["answers"]] == [(GOOD, 0), (BAD, 1)]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": RIVER["content"], "messages": TALK},
        {"prompt": RIVER["content"], "chosen": [*TALK, said(GOOD)], "rejected": [*TALK, said(BAD)]},
        {"chosen": [*TALK, said(GOOD)], "rejected": [*TALK, said(BAD)]},
        {"system": SYSTEM["content"], "chosen": TRANSCRIPT + GOOD, "rejected": TRANSCRIPT},
    ],
    ids=["messages", "chosen", "lone-chosen", "transcripts"],
)
def test_a_prompt_beside_its_conversation_has_the_system_message_too(tmp_path: Path, row: Any) -> None:
    (prompt,), metadata = imported(tmp_path, "prompts", row)
    assert prompt["prompt"] == "Answer in French.\n\nName a river in Spain."
    assert metadata["counts"] == {"prompts": 1, "prompts_later_turns": 1}


def test_a_prompt_that_quotes_a_transcript_is_one_question(tmp_path: Path) -> None:
    text = "Go on with this:\n\nHuman: Hi.\n\nAssistant:"
    (row,), _ = imported(tmp_path, "prompts", {"prompt": text})
    assert row["prompt"] == text
