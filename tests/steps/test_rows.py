"""What can be asked of a conversation with nothing before it."""

from selfreward_steps.rows import Message, RankingRow, first_exchange, first_question

SYSTEM: Message = {"role": "system", "content": "Be brief."}
ASKED: Message = {"role": "user", "content": "Name a river."}
ANSWER: Message = {"role": "assistant", "content": "The Ebro."}
MORE: Message = {"role": "user", "content": "How long is it?"}


def test_the_first_question_is_asked_with_its_system_message() -> None:
    row: RankingRow = {"id": "r", "prompt": "all of it", "answers": [], "messages": [SYSTEM, ASKED, ANSWER, MORE]}
    assert first_question(row) == "Be brief.\n\nName a river."
    assert first_question({"id": "r", "prompt": "Say hi", "answers": []}) == "Say hi"


def test_the_first_exchange_ends_with_the_first_answer() -> None:
    assert first_exchange([ASKED, ANSWER, MORE, ANSWER]) == [ASKED, ANSWER]
    assert first_exchange([SYSTEM, ASKED]) == [SYSTEM, ASKED]
