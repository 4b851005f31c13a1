"""Rules of how far the judge agrees with the implicit reward, which DPO measures before it begins."""

from __future__ import annotations

from selfreward_steps.contract import DpoLoss

from selfreward.api.rules.rule import Rule


def _asked(weighted: str, filtered: str, expression: str, message: str) -> tuple[Rule, Rule]:
    """The same for both options: `preferences.minConsistency` and `training.dpo.consistencyWeighted`."""
    return (
        Rule("spec", f"!self.{weighted} || {expression}", message, weighted),
        Rule("spec", f"!has(self.{filtered}) || {expression}", message, filtered),
    )


_OPTIONS = ("training.dpo.consistencyWeighted", "preferences.minConsistency")

CONSISTENCY_RULES: tuple[Rule, ...] = (
    *_asked(
        *_OPTIONS,
        "self.training.dpo.referenceModel == 'initial'",
        "needs training.dpo.referenceModel: initial: with previous the model begins as its own reference, and nothing "
        "is implied",
    ),
    *_asked(
        *_OPTIONS,
        "self.training.nodes * self.training.processesPerNode == 1",
        "is measured by one process: set training.nodes and processesPerNode to 1",
    ),
    *_asked(
        *_OPTIONS, "self.preferences.strategy != 'positive-only'", "strategy: positive-only has no pairs; remove it"
    ),
    Rule(
        "spec.training.dpo",
        f"!self.consistencyWeighted || self.lossType == '{DpoLoss.SIGMOID}'",
        "weighs the sigmoid loss only: set lossType: sigmoid",
        "consistencyWeighted",
    ),
)
