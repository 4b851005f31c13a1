"""Steps `sft-baseline` and `sft`: supervised fine-tuning of M0 on IFT data, and on IFT + EFT data (paper, section 2.1).

The baseline is the same training without the judgements; it writes the judgements that EFT data is filtered from. With
the pair strategy `positive-only`, the paper's ablation, step `sft` makes the later models too: M0 on the same data and
the iteration's perfect answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from selfreward_steps.attempt.runtime import StepContext, StepOutcome
from selfreward_steps.contract import JudgeSettings, SftConfig, StepName
from selfreward_steps.judging.custom_template import with_own_template
from selfreward_steps.judging.templates import judge_messages, judgement_text
from selfreward_steps.rows import EftRow, InstructionRow, read_rows
from selfreward_steps.training.conversations import split_at_first_answer
from selfreward_steps.training.examples import COMPLETION, Example
from selfreward_steps.training.pairs import pair_roles, pair_rows
from selfreward_steps.training.session import Fetch, train
from selfreward_steps.training.trainers import Supervised


def run(context: StepContext[SftConfig]) -> StepOutcome:
    """Train role `model` on roles `seed`, in step `sft` on `eft` too, and on roles of pairs where there are any."""
    config = context.config
    return train(context, Supervised(config.settings), partial(_rows, context), config.report_to)


def _rows(context: StepContext[SftConfig], fetch: Fetch) -> Iterator[Example | None]:
    if "seed" in context.config.inputs:
        yield from instruction_examples(fetch)
    if context.config.step is StepName.SFT and "eft" in context.config.inputs:
        judge = with_own_template(context.config.judge, context.config.inputs, fetch)
        yield from judgement_examples(fetch, judge)
    yield from chosen_examples(pair_roles(context.config.inputs), fetch)


def instruction_examples(fetch: Fetch) -> Iterator[Example | None]:
    """IFT: what people asked and answered, every answer of a conversation. None where there is none."""
    path = fetch("seed") / "instructions.jsonl"
    if not path.exists():
        return
    for row in read_rows(path, InstructionRow):
        parts = split_at_first_answer(row["messages"])
        if parts is None:
            yield None
        else:
            yield Example(f"seedData.instructions, row {row['id']}", parts[0], {COMPLETION: parts[1]})


def chosen_examples(roles: Sequence[str], fetch: Fetch) -> Iterator[Example]:
    """The training examples of `positive-only`: the chosen answer of every pair alone."""
    for where, row in pair_rows(roles, fetch):
        yield Example(where, row["prompt"], {COMPLETION: row["chosen"]})


def judgement_examples(fetch: Fetch, judge: JudgeSettings) -> Iterator[Example]:
    """EFT: the judge's prompt, and the judgement to answer it with, as judging will ask for them."""
    for row in read_rows(fetch("eft") / "train.jsonl", EftRow):
        text = judgement_text(judge, row["critique"], row["score"])
        yield Example(
            f"eft, row {row['id']}",
            judge_messages(judge, row["prompt"], row["response"], row.get("other")),
            {COMPLETION: [{"role": "assistant", "content": text}]},
        )
