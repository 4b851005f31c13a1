"""Step `dpo`: M_t to M_{t+1} by direct preference optimisation on the iteration's pairs (paper, section 2.3).

With `preferences.history: all`, on those of the iterations before too. With the pair strategy `positive-only`, the
paper's ablation, it is supervised fine-tuning on the chosen answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from selfreward_steps.attempt.runtime import StepContext, StepOutcome
from selfreward_steps.contract import DpoConfig, PairStrategy
from selfreward_steps.rows import PairRow, read_rows
from selfreward_steps.training.examples import Example
from selfreward_steps.training.session import Fetch, train
from selfreward_steps.training.trainers import Method, Preference, Supervised


def run(context: StepContext[DpoConfig]) -> StepOutcome:
    """Train role `model` on the roles of pairs, against role `reference`."""
    config = context.config
    roles = pair_roles(config.inputs)
    if config.pairs.strategy is PairStrategy.POSITIVE_ONLY:
        method: Method = Supervised(config.settings)
        return train(context, method, partial(chosen_examples, roles), config.report_to)
    own = context.resolved["reference"].digest == context.resolved["model"].digest
    method = Preference(config.settings, own_reference=own)
    return train(context, method, partial(pair_examples, roles), config.report_to)


def pair_roles(inputs: Iterable[str]) -> list[str]:
    """The roles that hold pairs, oldest first: `pairs-1`, `pairs-2`, …, and `pairs`, this iteration's."""
    earlier = (role for role in inputs if role.startswith("pairs-"))
    return [*sorted(earlier, key=lambda role: int(role.removeprefix("pairs-"))), "pairs"]


def pair_examples(roles: Sequence[str], fetch: Fetch) -> Iterator[Example]:
    """The training examples of DPO: both answers of every pair."""
    for where, row in _pairs(roles, fetch):
        yield Example(where, row["prompt"], {"chosen": row["chosen"], "rejected": row["rejected"]})


def chosen_examples(roles: Sequence[str], fetch: Fetch) -> Iterator[Example]:
    """The training examples of `positive-only`: the chosen answer of every pair alone."""
    for where, row in _pairs(roles, fetch):
        yield Example(where, row["prompt"], {"completion": row["chosen"]})


def _pairs(roles: Sequence[str], fetch: Fetch) -> Iterator[tuple[str, PairRow]]:
    for role in roles:
        for row in read_rows(fetch(role) / "pairs.jsonl", PairRow):
            yield f"pairs.jsonl, row {row['id']}", row
