"""Rules that an update keeps: what of a spec cannot change any more.

They are transition rules: they compare with `oldSelf`, what was stored.
"""

from __future__ import annotations

from selfreward.api.rules.rule import Rule


def _frozen(fields: tuple[str, ...], since: str, words: str) -> tuple[Rule, ...]:
    """Fields that cannot change once `since`, an expression over the stored resource, holds."""
    return tuple(
        Rule(
            "",
            f"!has(oldSelf.status) || !({since}) || {_same(field)}",
            f"cannot change once {words}; use a new run",
            f"spec.{field}",
        )
        for field in fields
    )


def _same(field: str) -> str:
    """Whether both say the same of it, or both nothing: most fields are there by their defaults, some are not."""
    new, old = f"self.spec.{field}", f"oldSelf.spec.{field}"
    return f"(has({new}) ? has({old}) && {new} == {old} : !has({old}))"


_STARTED = "has(oldSelf.status.model) && oldSelf.status.model != ''"
"""Something is committed. Before, whoever mistyped a path may mend it: nothing has used it yet."""
_ITERATING = "has(oldSelf.status.iteration) && oldSelf.status.iteration > 0"

UPDATE_RULES: tuple[Rule, ...] = (
    *_frozen(("model", "seedData", "eft", "storage", "randomSeed"), _STARTED, "the base model is imported"),
    *_frozen(("training.sft",), _STARTED, "the base model is imported"),
    # What is imported beside it, or decides how evaluation fine-tuning data look.
    *_frozen(
        ("prompts.source", "judge.model", "judge.source", "judge.template", "judge.customTemplate"),
        _STARTED,
        "the base model is imported",
    ),
    # Where a judge listens may be put right at any time: it is found to be wrong only by using it.
    *_frozen(
        (
            *("prompts", "responses", "preferences", "training.dpo"),
            *(f"judge.{field}" for field in ("mode", "samples", "sampling", "metaJudge")),
        ),
        _ITERATING,
        "an iteration has used it",
    ),
    *_frozen(
        (
            "serving.generationShards",
            *(f"evaluation.{field}" for field in ("prompts", "sampling", "source", "outside", "mtBench")),
            *(f"evaluation.{field}" for field in ("safetyPrompts", "judge.model", "judge.source", "lmEval")),
        ),
        _ITERATING,
        "an iteration has used it",
    ),
    Rule(
        "",
        "self.spec.iterations >= oldSelf.spec.iterations",
        "can only be raised",
        "spec.iterations",
    ),
    Rule("", _same("managedBy"), "cannot change: two controllers would look after the run", "spec.managedBy"),
)
