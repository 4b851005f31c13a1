"""Questions of several turns, as MT-Bench's `question.jsonl` has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from selfreward_steps.importing.seed.columns import checked_text
from selfreward_steps.importing.seed.reading import Row, bad_data
from selfreward_steps.json_text import writable
from selfreward_steps.rows import QuestionRow


def questions(rows: Iterator[Row], field: str, tally: Counter[str]) -> Iterator[QuestionRow]:
    """Rows with `question_id` and `turns`; raises PermanentError BadSeedData for a question without a turn."""
    for row in rows:
        turns = row.values.get("turns")
        if not isinstance(turns, list) or not turns:
            raise bad_data(field, row.where, f"turns is {turns!r:.60}, expected a list of the user's messages")
        texts = [checked_text(turn, f"turns[{index}]", row, field) for index, turn in enumerate(turns)]
        yield {"id": writable(str(row.values.get("question_id"))), "prompt": texts[0], "turns": texts}
