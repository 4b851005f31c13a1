"""Step `dpo`: M_t to M_{t+1} by direct preference optimisation on the iteration's pairs (paper, section 2.3).

With `preferences.history: all`, on those of the iterations before too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from selfreward_steps.attempt.runtime import StepContext, StepOutcome
from selfreward_steps.contract import DpoConfig
from selfreward_steps.training.examples import Example
from selfreward_steps.training.pairs import pair_roles, pair_rows
from selfreward_steps.training.session import Fetch, train
from selfreward_steps.training.trainers import Preference


def run(context: StepContext[DpoConfig]) -> StepOutcome:
    """Train role `model` on the roles of pairs, against role `reference`."""
    config = context.config
    roles = pair_roles(config.inputs)
    own = context.resolved["reference"].digest == context.resolved["model"].digest
    method = Preference(config.settings, own_reference=own, min_consistency=config.min_consistency)
    return train(context, method, partial(pair_examples, roles), config.report_to)


def pair_examples(roles: Sequence[str], fetch: Fetch) -> Iterator[Example]:
    """The training examples of DPO: both answers of every pair."""
    for where, row in pair_rows(roles, fetch):
        answers = {"chosen": row["chosen"], "rejected": row["rejected"]}
        yield Example(where, row["prompt"], answers, row.get("candidates", ()))
