"""The runs of the evidence: a world's run, each with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from known_world.careless import RANKED, REVIEWED
from known_world.language import COMPARE, WEIGH
from known_world.seed_data import Taste, flattering, human, length_loving

Spec = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """The world's run, but for one change."""

    name: str
    what: str
    change: Callable[[Spec], None] = lambda spec: None
    reviewer: Taste = human
    """Whose reviews the judge learns from; in the careless world they are always people's."""


def _positive_only(spec: Spec) -> None:
    spec["preferences"] = {"strategy": "positive-only"}


def _without_eft(spec: Spec) -> None:
    del spec["eft"], spec["seedData"]["eft"], spec["seedData"]["rankings"]
    spec["iterations"] = 1


def _length_controlled(spec: Spec) -> None:
    spec["preferences"] = {"lengthControl": [RHO]}


def _once(spec: Spec) -> None:
    spec["iterations"] = 1


RHO = 0.5
"""Of Meta-Rewarding; chosen on seed 100, like everything else here."""
PLAIN = (
    Variant("main", "the method"),
    Variant("positive-only", "the best answers as SFT data, no rejected ones", _positive_only),
    Variant("no-eft", "SFT on instructions alone", _without_eft),
    Variant("length", "the judge learnt from people who love length", reviewer=length_loving),
    Variant("length-controlled", f"the same judge, length control ρ = {RHO}", _length_controlled, length_loving),
    Variant("flattery", "the judge learnt from people who always say 5", _once, flattering),
)
"""Of the plain world: the method, the paper's contrasts, and collapse made on purpose."""


def _pairwise(spec: Spec) -> None:
    """Learns the order of the answers whose reviews the others learn from; so many prompts are ranked in all."""
    del spec["seedData"]["eft"]
    spec["eft"] = {"mode": "direct", "testFraction": RANKED / (REVIEWED + RANKED)}
    spec["judge"] |= {"mode": "pairwise", "customTemplate": {"text": COMPARE}}


def _meta_rewarding(spec: Spec) -> None:
    spec["judge"]["metaJudge"] = {"text": WEIGH}


def _anchored_to_m1(spec: Spec) -> None:
    spec["training"]["dpo"]["referenceModel"] = "initial"


def _consistent(spec: Spec) -> None:
    _anchored_to_m1(spec)
    spec["preferences"] = {"minConsistency": 0}


def _cream(spec: Spec) -> None:
    _anchored_to_m1(spec)
    spec["training"]["dpo"]["consistencyWeighted"] = True


JUDGING = (
    Variant("plain", "the method"),
    Variant("pairwise", "a judge that compares", _pairwise),
    Variant("meta-rewarding", "pairs of judgements beside those of answers", _meta_rewarding),
    Variant("reference-m1", "DPO's reference is M1, which the next two need", _anchored_to_m1),
    Variant("min-consistency", "no pair against which the implicit reward speaks", _consistent),
    Variant("cream", "pairs weighed by the judge's consistency", _cream),
)
"""Of the careless world: the means by which a judge may get better."""
