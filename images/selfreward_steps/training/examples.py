"""Training examples on disk, measured before anything expensive starts.

Rows stream from the artifacts through the chat template into one JSONL file that `datasets` maps into memory, so no
dataset is ever held whole. What cannot be learned from is counted here and left out; nothing is dropped in silence.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from datasets import Dataset, load_dataset

from selfreward_steps.errors import PermanentError
from selfreward_steps.rows import JudgedAnswer, Message, write_rows
from selfreward_steps.training.conversations import ChatTemplate

COMPLETION: Final = "completion"
Answers = Mapping[str, Sequence[Message]]


@dataclass(frozen=True)
class Example:
    """A prompt and its answers by TRL's column: `completion`, or `chosen` and `rejected`. `where` is for errors.

    A completion may go on with more turns: all its answers are learnt. `candidates` are all judged ones of a pair's
    prompt, where their consistency is asked for.
    """

    where: str
    prompt: Sequence[Message]
    answers: Answers
    candidates: Sequence[JudgedAnswer] = ()


@dataclass
class Counts:
    """What the data came to. Tokens are those of one pass, after truncation."""

    examples: int = 0
    """Sequences, or pairs."""
    answers: int = 0
    """What is learnt of them: a conversation of several turns has as many."""
    tokens: int = 0
    truncated: int = 0
    """Longer than the limit: cut at its end."""
    dropped_too_long: int = 0
    """The prompt alone fills the limit."""
    dropped_without_answer: int = 0
    system_folded: int = 0
    """System messages moved into the first user turn."""
    without_end: int = 0
    """Whole answers without a token that ends generation."""
    longest_prompt: int = field(default=0, metadata={"metric": False})
    longest: int = field(default=0, metadata={"metric": False})
    """Tokens of the longest sequence, after truncation."""

    def metrics(self) -> dict[str, float]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.metadata.get("metric", True)}

    def warnings(self, max_length: int) -> Iterator[str]:
        """What somebody should know of examples that do not fit `max_length` tokens or do not end."""
        if self.dropped_too_long:
            yield (
                f"{self.dropped_too_long} examples were left out: their prompt alone fills {max_length} tokens "
                f"(the longest has {self.longest_prompt}); raise settings.maxLength if the model allows it"
            )
        if self.without_end:
            yield (
                f"{self.without_end} of {self.examples} examples have no end-of-turn token as the chat template "
                "renders them: the model may not learn to stop"
            )


def prepare(
    rows: Iterable[Example | None], template: ChatTemplate, folder: Path, *, max_length: int, tick: Callable[[], None]
) -> tuple[Path, Counts]:
    """Write the examples to `folder/train.jsonl`; None stands for a row without an answer.

    Raises PermanentError NoTrainingData when there is nothing, and ExamplesTooLong when every prompt fills
    `max_length` tokens.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    counts = Counts()
    path = folder / "train.jsonl"
    write_rows(path, _kept(rows, template, counts, max_length, tick))
    if counts.examples:
        return path, counts
    if counts.dropped_too_long:
        raise PermanentError(
            "ExamplesTooLong",
            f"settings.maxLength: {max_length} tokens: the prompt alone fills it in all {counts.dropped_too_long} "
            f"examples (longest: {counts.longest_prompt} tokens): raise it, or shorten the data",
        )
    raise PermanentError(
        "NoTrainingData",
        f"the training data has no example with an answer ({counts.dropped_without_answer} without one): "
        "check seedData and the steps before",
    )


def load(path: Path) -> Dataset:
    """The prepared examples, mapped from disk. Its caches lie beside the file and go with it."""
    return load_dataset("json", data_files=str(path), split="train", cache_dir=str(path.parent / "cache"))


def _kept(
    rows: Iterable[Example | None],
    template: ChatTemplate,
    counts: Counts,
    max_length: int,
    tick: Callable[[], None],
) -> Iterator[dict[str, Any]]:
    for row in rows:
        tick()
        if row is None:
            counts.dropped_without_answer += 1
        elif COMPLETION in row.answers:
            yield from _sequences(row, template, counts, max_length)
        else:
            yield from _pair(row, template, counts, max_length)


def _sequences(row: Example, template: ChatTemplate, counts: Counts, max_length: int) -> Iterator[dict[str, Any]]:
    """Tokens with their labels, which TRL's SFTTrainer takes as they are: from messages it learns the last turn only,
    or needs marks that most chat templates do not have."""
    completion = row.answers[COMPLETION]
    messages, folded = template.fold_system([*row.prompt, *completion])
    counts.system_folded += folded
    first = len(messages) - (sum(turn["role"] != "system" for turn in completion) if folded else len(completion))
    for each in template.learnt(messages[:first], messages[first:], row.where):
        start = each.answers[0][0]
        counts.longest_prompt = max(counts.longest_prompt, start)
        if start >= max_length:
            counts.dropped_too_long += 1
            continue
        counts.examples += 1
        counts.answers += sum(start < max_length for start, _ in each.answers)
        counts.tokens += min(len(each.tokens), max_length)
        counts.longest = max(counts.longest, min(len(each.tokens), max_length))
        counts.truncated += len(each.tokens) > max_length
        counts.without_end += not each.ends
        yield {"input_ids": each.tokens, "labels": each.labels}


def _pair(row: Example, template: ChatTemplate, counts: Counts, max_length: int) -> Iterator[dict[str, Any]]:
    prompt, folded = template.fold_system(row.prompt)
    counts.system_folded += folded
    measured = [template.lengths(prompt, answer, row.where) for answer in row.answers.values()]
    counts.longest_prompt = max(counts.longest_prompt, *(each.prompt for each in measured))
    # The same rule as TRL's: nothing of the answer would be left.
    if min(each.prompt for each in measured) >= max_length:
        counts.dropped_too_long += 1
        return
    counts.examples += 1
    counts.answers += len(measured)
    lengths = [min(each.whole, max_length) for each in measured]
    counts.tokens += sum(lengths)
    counts.longest = max(counts.longest, *lengths)
    counts.truncated += any(each.whole > max_length for each in measured)
    counts.without_end += any(not each.ends for each in measured)
    judged = {"candidates": list(row.candidates)} if row.candidates else {}
    yield {"prompt": prompt, **{column: list(answer) for column, answer in row.answers.items()}, **judged}
