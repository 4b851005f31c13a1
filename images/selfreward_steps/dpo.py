"""Step `dpo`: M_t to M_{t+1} by direct preference optimisation on the iteration's pairs (paper, section 2.3).

With the pair strategy `positive-only`, the paper's ablation, it is supervised fine-tuning on the chosen answers.
"""

from __future__ import annotations

from collections.abc import Iterator

from selfreward_steps.contract import DpoConfig, PairStrategy
from selfreward_steps.rows import PairRow, read_rows
from selfreward_steps.runtime import StepContext, StepOutcome
from selfreward_steps.training.examples import Example
from selfreward_steps.training.session import Fetch, train
from selfreward_steps.training.trainers import Method, Preference, Supervised


def run(context: StepContext[DpoConfig]) -> StepOutcome:
    """Train role `model` on role `pairs`, against role `reference`."""
    config = context.config
    if config.pairs.strategy is PairStrategy.POSITIVE_ONLY:
        method: Method = Supervised(config.settings)
        return train(context, method, chosen_examples, config.report_to)
    own = context.resolved["reference"].digest == context.resolved["model"].digest
    return train(context, Preference(config.settings, own_reference=own), pair_examples, config.report_to)


def pair_examples(fetch: Fetch) -> Iterator[Example]:
    """Both answers of every pair."""
    for row in read_rows(fetch("pairs") / "pairs.jsonl", PairRow):
        yield Example(_where(row), row["prompt"], {"chosen": row["chosen"], "rejected": row["rejected"]})


def chosen_examples(fetch: Fetch) -> Iterator[Example]:
    """The chosen answer alone."""
    for row in read_rows(fetch("pairs") / "pairs.jsonl", PairRow):
        yield Example(_where(row), row["prompt"], {"completion": row["chosen"]})


def _where(row: PairRow) -> str:
    return f"pairs.jsonl, row {row['id']}"
