"""The choice of the two candidates of one prompt that become a preference pair, as a pure function.

Paper section 2.3 (best against worst of the mean scores, ties dropped), with the options of `preferences`: cut-off
answers, margin, judge-variance filter, length control (Meta-Rewarding, arXiv 2407.19594, section 2.3), random rejected,
rejected at two standard deviations below the mean, anchored rejected (Temporal Self-Rewarding, arXiv 2508.06026) and
positive-only. It must not read, write or count.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from selfreward_steps.contract import PairSettings, PairStrategy, TruncatedAnswers

DECIMALS = 9
"""Means are rounded to this, so that the same scores added in another order, or as another fraction, stay a tie."""
_ROUNDING = 0.5 * 10.0**-DECIMALS


@dataclass(frozen=True, slots=True)
class ScoredCandidate:
    """A candidate with at least one score. `index` is its place among the prompt's candidates."""

    index: int
    text: str
    mean: float
    """Mean of the scores that could be read; those that could not do not count as a score."""
    std: float | None
    """Their population standard deviation: the judgements at hand are all there are. None where one alone of several
    states a score: nothing tells how well they agree."""
    anchored: bool = False
    """Whether it is an answer of M1's, which may be rejected and never chosen."""
    truncated: bool = False
    """Whether it reached the longest completion."""
    flips: frozenset[int] = frozenset()
    """Candidates that were compared with it and of which the judge chose the one in the same place both times."""

    @classmethod
    def of(
        cls,
        index: int,
        text: str,
        judged: Sequence[float | None],
        *,
        anchored: bool = False,
        truncated: bool = False,
        flips: frozenset[int] = frozenset(),
    ) -> ScoredCandidate:
        """From a candidate's judgements, of which at least one states a score."""
        scores = [score for score in judged if score is not None]
        mean = math.fsum(scores) / len(scores)
        std = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / len(scores))
        known = len(scores) > 1 or len(judged) == 1
        return cls(index, text, round(mean, DECIMALS), std if known else None, anchored, truncated, flips)


class NoPair(StrEnum):
    """Reasons for which a prompt gives no preference pair."""

    UNSCORED = "unscored"
    """Fewer than two candidates have a score (`positive-only`: none has)."""
    TRUNCATED = "truncated"
    """Enough candidates have a score, but too few of them end by themselves (`truncated: drop`)."""
    REFUSED = "refused"
    """The server took neither the prompt nor, if it did, any of its answers to judge."""
    NOISY = "noisy"
    """Two candidates have a score, but `maxScoreStd` leaves fewer."""
    IMPERFECT = "imperfect"
    """No answer has the judge's top score (`positive-only`)."""
    TIED = "tied"
    """All candidates have the same mean score."""
    BELOW_MARGIN = "below_margin"
    """Best and worst differ by less than `minMargin`."""
    LENGTH_CONTROL = "length_control"
    """The shortest of the top tier is not better, by `minMargin`, than any rejected one it could go against."""
    FLIPPED = "flipped"
    """The judge's verdict on the two answers follows their order (`judge.mode: pairwise`)."""
    IDENTICAL = "identical"
    """Both answers read the same, white space at the ends aside: nothing to prefer."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What is preferred to what; `rejected` is None under `positive-only`."""

    chosen: ScoredCandidate
    rejected: ScoredCandidate | None


@dataclass(frozen=True, slots=True)
class PairRules:
    """`preferences` as they hold in one iteration."""

    strategy: PairStrategy
    min_margin: float
    max_score_std: float | None
    rho: float
    """Width of both tiers, as a share of the distance from worst to best; 0 is no length control."""
    keeps_truncated: bool
    top_score: float
    """Of the judge's scale: what a perfect answer gets every time."""
    seed: int

    @classmethod
    def of(cls, settings: PairSettings, iteration: int, seed: int, top_score: float = 5) -> PairRules:
        """The rules of `iteration`, from 1; the last entry of `lengthControl` holds for all later ones."""
        rhos = settings.length_control
        rho = rhos[min(iteration, len(rhos)) - 1] if rhos else 0.0
        return cls(
            strategy=settings.strategy,
            min_margin=settings.min_margin,
            max_score_std=settings.max_score_std,
            rho=rho,
            keeps_truncated=settings.truncated is TruncatedAnswers.KEEP,
            top_score=top_score,
            seed=seed,
        )

    def whole(self, candidates: Sequence[ScoredCandidate]) -> list[ScoredCandidate]:
        """Those that are not left out for being cut off."""
        return [candidate for candidate in candidates if self.keeps_truncated or not candidate.truncated]

    def steady(self, candidate: ScoredCandidate) -> bool:
        """Whether the candidate's judgements agree well enough for it to be used."""
        if self.max_score_std is None:
            return True
        return candidate.std is not None and candidate.std <= self.max_score_std + _ROUNDING

    def better(self, candidate: ScoredCandidate, other: ScoredCandidate) -> bool:
        """Whether the means differ, and by the margin; a difference of exactly the margin is enough."""
        difference = candidate.mean - other.mean
        return difference > _ROUNDING and difference >= self.min_margin - _ROUNDING


def choose(
    rules: PairRules, prompt_id: str, scored: Sequence[ScoredCandidate], anchors: Sequence[ScoredCandidate] = ()
) -> Pair | NoPair:
    """The pair of one prompt from its candidates with a score, in the order of `index`, or why there is none.

    Candidates are exchangeable draws, so among equals the one with the lowest index is taken: that is the same on
    every machine and prefers nothing.

    `anchors` are answers of M1's to the same prompt: they may be rejected beside the candidates. Only a worse one
    takes a candidate's place, so pairs differ from those without anchors where M1's answers are the worst.
    """
    whole, whole_anchors = rules.whole(scored), rules.whole(anchors)
    candidates = [candidate for candidate in whole if rules.steady(candidate)]
    rejectable = candidates + [anchor for anchor in whole_anchors if rules.steady(anchor)]
    if not candidates or len(rejectable) < 2:
        if not scored or len(scored) + len(anchors) < 2:
            return NoPair.UNSCORED
        return NoPair.TRUNCATED if not whole or len(whole) + len(whole_anchors) < 2 else NoPair.NOISY
    chosen = _chosen(rules, candidates)
    best, worst = max(candidates, key=_mean), min(rejectable, key=_mean)
    if not best.mean - worst.mean > _ROUNDING:
        return NoPair.TIED
    if not rules.better(best, worst):
        return NoPair.BELOW_MARGIN
    rejected = _rejected(rules, prompt_id, chosen, rejectable)
    if rejected is None:
        return NoPair.LENGTH_CONTROL
    if chosen.text.strip() == rejected.text.strip():
        return NoPair.IDENTICAL
    if rejected.index in chosen.flips:
        return NoPair.FLIPPED
    return Pair(chosen, rejected)


def perfect(rules: PairRules, scored: Sequence[ScoredCandidate]) -> Sequence[Pair] | NoPair:
    """`positive-only`: every answer that gets the top score each time, each text once, or why there is none."""
    whole = rules.whole(scored)
    if not whole:
        return NoPair.TRUNCATED if scored else NoPair.UNSCORED
    best = {each.text.strip(): each for each in reversed(whole) if each.mean >= rules.top_score - _ROUNDING}
    return [Pair(each, None) for each in reversed(best.values())] or NoPair.IMPERFECT


def _chosen(rules: PairRules, candidates: Sequence[ScoredCandidate]) -> ScoredCandidate:
    """The best; with length control the shortest of the top tier `[(1-ρ)·max + ρ·min, max]`, in characters."""
    low, high = _range(candidates)
    tier = [c for c in candidates if c.mean >= high - rules.rho * (high - low) - _ROUNDING]
    if rules.rho == 0:
        return tier[0]
    return min(tier, key=lambda c: (len(c.text), -c.mean, c.index))


def _rejected(
    rules: PairRules, prompt_id: str, chosen: ScoredCandidate, candidates: Sequence[ScoredCandidate]
) -> ScoredCandidate | None:
    """One that `chosen` is better than by the margin.

    `best-worst`: the worst; with length control the longest of the bottom tier `[min, (1-ρ)·min + ρ·max]`. Above
    ρ = 0.5 the tiers overlap, so a pair must still be asked to be one. `best-random`: any, equally likely.
    `best-two-sigma`: the one nearest to two standard deviations below the mean of all, since of many candidates the
    worst is an outlier that teaches little (arXiv 2502.16825).
    """
    beaten = [candidate for candidate in candidates if rules.better(chosen, candidate)]
    match rules.strategy:
        case PairStrategy.BEST_RANDOM:
            return beaten[_drawn(rules.seed, prompt_id, len(beaten))] if beaten else None
        case PairStrategy.BEST_TWO_SIGMA:
            means = [candidate.mean for candidate in candidates]
            aim = statistics.fmean(means) - 2 * statistics.pstdev(means)
            return min(beaten, key=lambda c: (round(abs(c.mean - aim), DECIMALS), c.index), default=None)
        case PairStrategy.BEST_WORST:
            low, high = _range(candidates)
            tier = [c for c in beaten if c.mean <= low + rules.rho * (high - low) + _ROUNDING]
            if rules.rho == 0:
                return tier[0]
            return min(tier, key=lambda c: (-len(c.text), c.mean, c.index), default=None)
        case PairStrategy.POSITIVE_ONLY:
            raise AssertionError("positive-only has no rejected answer: see perfect")
        case _:
            assert_never(rules.strategy)


def _drawn(seed: int, prompt_id: str, count: int) -> int:
    """0 to count - 1 from the seed and the prompt alone, so that no other prompt changes it."""
    digest = hashlib.sha256(f"{seed}/{prompt_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % count


def _range(candidates: Sequence[ScoredCandidate]) -> tuple[float, float]:
    means = [candidate.mean for candidate in candidates]
    return min(means), max(means)


def _mean(candidate: ScoredCandidate) -> float:
    return candidate.mean
