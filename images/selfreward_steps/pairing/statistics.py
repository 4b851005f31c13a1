"""Statistics of an iteration's judging and pairing: evidence for the user, and what gates look at.

Sums and counters only, so that a million judgements cost no memory. It must not decide anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from selfreward_steps.measuring.histograms import DECIMALS, histogram
from selfreward_steps.measuring.intervals import Fraction, counted_share
from selfreward_steps.pairing.judged_prompts import JudgedPrompt
from selfreward_steps.pairing.selection import NoPair, Pair, ScoredCandidate
from selfreward_steps.rows import is_truncated


@dataclass
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass
class PairStatistics:
    """Everything counted while pairs are chosen; `add` once a prompt."""

    prompts: int = 0
    pairs: int = 0
    dropped: Counter[NoPair] = field(default_factory=Counter)
    """Prompts without a pair, by reason."""
    candidates: int = 0
    truncated: int = 0
    """Candidates that reached the longest completion."""
    truncated_chosen: int = 0
    truncated_rejected: int = 0
    """How many of the truncated candidates are learnt from (`preferences.truncated: keep`)."""
    unscored_candidates: int = 0
    refused_candidates: int = 0
    """Of those without a score, the ones that the judge's server did not take."""
    noisy_candidates: int = 0
    """Candidates that `maxScoreStd` leaves out."""
    judgements: int = 0
    parsed: int = 0
    """Judgements that state a score."""
    anchored_pairs: int | None = None
    """Pairs whose rejected answer is M1's; None where M1 was not asked."""
    judgement_pairs: int | None = None
    """Pairs of judgements, chosen by a meta-judge; None where there is none."""
    is_compared: bool = False
    """Whether the judge compared candidates (`judge.mode: pairwise`)."""
    _swayed: Counter[Fraction] = field(default_factory=Counter)
    """Prompts by in how many of how many comparisons the order decided."""
    _parses: Counter[Fraction] = field(default_factory=Counter)
    """Prompts by how many of how many judgements state a score."""
    _scores: Counter[float] = field(default_factory=Counter)
    _means: Counter[float] = field(default_factory=Counter)
    _candidate_chars: _Mean = field(default_factory=_Mean)
    _chosen_chars: _Mean = field(default_factory=_Mean)
    _rejected_chars: _Mean = field(default_factory=_Mean)
    _chosen_score: _Mean = field(default_factory=_Mean)
    _rejected_score: _Mean = field(default_factory=_Mean)
    _margin: _Mean = field(default_factory=_Mean)
    _score: _Mean = field(default_factory=_Mean)
    _anchor_score: _Mean = field(default_factory=_Mean)
    _mass: _Mean = field(default_factory=_Mean)

    def add(
        self, judged: JudgedPrompt, scored: Sequence[ScoredCandidate], noisy: int, choice: Sequence[Pair] | NoPair
    ) -> None:
        """One prompt: what was read, its candidates with a score, how many of these are `noisy`, and the choice."""
        self.prompts += 1
        self.candidates += len(judged.candidates)
        self.unscored_candidates += len(judged.candidates) - len(scored)
        self.noisy_candidates += noisy
        for candidate in judged.candidates:
            self.truncated += is_truncated(candidate)
            self._candidate_chars.add(len(candidate["text"]))
        before = self.parsed, self.judgements
        for scores in judged.scores:
            self.refused_candidates += not scores
            self._count(scores)
        for mass in judged.masses:
            self._mass.add(mass)
        if judged.flips is not None:
            self.is_compared = True
            self._swayed[float(sum(map(len, judged.flips))), float(self.parsed - before[0])] += 1
        self._parses[float(self.parsed - before[0]), float(self.judgements - before[1])] += 1
        self._means.update(round(candidate.mean, DECIMALS) for candidate in scored)
        if isinstance(choice, NoPair):
            self.dropped[choice] += 1
        else:
            for pair in choice:
                self._pair(pair)

    def add_anchors(self, anchors: Sequence[ScoredCandidate]) -> None:
        """M1's answers to one prompt, as far as they have a score."""
        self.anchored_pairs = self.anchored_pairs or 0
        for anchor in anchors:
            self._anchor_score.add(anchor.mean)

    def _count(self, scores: Sequence[float | None]) -> None:
        for score in scores:
            self.judgements += 1
            if score is not None:
                self.parsed += 1
                self._score.add(score)
                self._scores[round(score, DECIMALS)] += 1

    def _pair(self, pair: Pair) -> None:
        self.pairs += 1
        self._chosen_chars.add(len(pair.chosen.text))
        self._chosen_score.add(pair.chosen.mean)
        self.truncated_chosen += pair.chosen.truncated
        if pair.rejected is not None:
            self._rejected_chars.add(len(pair.rejected.text))
            self._rejected_score.add(pair.rejected.mean)
            self.truncated_rejected += pair.rejected.truncated
            self._margin.add(pair.chosen.mean - pair.rejected.mean)
            if pair.rejected.anchored:
                self.anchored_pairs = (self.anchored_pairs or 0) + 1

    @property
    def parse_rate(self) -> float | None:
        return self.parsed / self.judgements if self.judgements else None

    @property
    def score_mass(self) -> float | None:
        """Mean probability that judgements by token give to score tokens; None where there was none of them."""
        return self._mass.value

    @property
    def position_bias(self) -> float | None:
        """Share of the comparisons in which the judge chose the same place in both orders; None without any."""
        return counted_share(self._swayed).value

    @property
    def top_score(self) -> float | None:
        """The highest score any judgement states: the scale's own top is the judge's to know, not this step's."""
        return max(self._scores, default=None)

    @property
    def top_score_share(self) -> float | None:
        """Share of the scores in the histogram's highest bar; 1 when the judge says one thing only."""
        bars = list(histogram(self._scores)["counts"].values())
        return bars[-1] / self.parsed if bars else None

    @property
    def common_score(self) -> tuple[float | None, float | None]:
        """The histogram's fullest bar and its share of the scores: near 1 the judge tells nothing apart."""
        bars = histogram(self._scores)["counts"]
        if not bars:
            return None, None
        score, count = max(bars.items(), key=lambda bar: bar[1])
        return float(score), count / self.parsed

    def as_json(self) -> dict[str, Any]:
        """`statistics.json`; a mean of nothing is null.

        What happens to few runs stands there only when it has: the same pairs made anew must be the same artifact.
        """
        return {
            "prompts": self.prompts,
            "pairs": self.pairs,
            "prompts_without_pair": {reason.value: self.dropped[reason] for reason in NoPair if self._tells(reason)},
            "candidates": self.candidates,
            "candidates_truncated": self.truncated,
            "truncated_chosen": self.truncated_chosen,
            "truncated_rejected": self.truncated_rejected,
            "candidates_unscored": self.unscored_candidates,
            **({"candidates_refused": self.refused_candidates} if self.refused_candidates else {}),
            "candidates_noisy": self.noisy_candidates,
            "judgements": self.judgements,
            "judgements_parsed": self.parsed,
            "parse_rate": self.parse_rate,
            **({} if self.score_mass is None else {"mean_score_mass": self.score_mass}),
            **({"position_bias": self.position_bias} if self.is_compared else {}),
            "mean_score": self._score.value,
            "top_score": self.top_score,
            "top_score_share": self.top_score_share,
            "common_score": self.common_score[0],
            "common_score_share": self.common_score[1],
            "score_histogram": histogram(self._scores),
            "mean_score_histogram": histogram(self._means),
            "mean_candidate_chars": self._candidate_chars.value,
            "mean_chosen_chars": self._chosen_chars.value,
            "mean_rejected_chars": self._rejected_chars.value,
            "mean_chosen_score": self._chosen_score.value,
            "mean_rejected_score": self._rejected_score.value,
            "mean_margin": self._margin.value,
            "intervals": {
                "parse_rate": counted_share(self._parses).as_json(),
                **({"position_bias": counted_share(self._swayed).as_json()} if self.is_compared else {}),
                "pairs_per_prompt": counted_share(self._paired).as_json(),
            },
            **({} if self.anchored_pairs is None else self._anchors()),
            **({} if self.judgement_pairs is None else {"judgement_pairs": self.judgement_pairs}),
        }

    def _tells(self, reason: NoPair) -> bool:
        return reason not in (NoPair.REFUSED, NoPair.FLIPPED) or self.dropped[reason] > 0

    @property
    def _paired(self) -> Counter[Fraction]:
        without = self.dropped.total()
        return Counter({(1.0, 1.0): self.prompts - without, (0.0, 1.0): without})

    def _anchors(self) -> dict[str, Any]:
        return {"anchored_pairs": self.anchored_pairs, "mean_anchor_score": self._anchor_score.value}

    def metrics(self) -> dict[str, float]:
        """The few numbers that status shows; those that do not exist are left out."""
        found: dict[str, float | None] = {
            "pairs": self.pairs,
            "prompts": self.prompts,
            "ties": self.dropped[NoPair.TIED],
            "candidates": self.candidates,
            "candidates_truncated": self.truncated,
            "prompts_truncated": self.dropped[NoPair.TRUNCATED],
            "refused": self.dropped[NoPair.REFUSED] or None,
            "parse_rate": self.parse_rate,
            "mean_score_mass": self.score_mass,
            "position_bias": self.position_bias,
            "flipped": self.dropped[NoPair.FLIPPED] or None,
            "mean_margin": self._margin.value,
            "mean_score": self._score.value,
            "chosen_chars": self._chosen_chars.value,
            "rejected_chars": self._rejected_chars.value,
            "top_score_share": self.top_score_share,
            "common_score": self.common_score[0],
            "common_score_share": self.common_score[1],
            "candidate_chars": self._candidate_chars.value,
            "anchored_pairs": self.anchored_pairs,
            "judgement_pairs": self.judgement_pairs,
        }
        return {name: value for name, value in found.items() if value is not None}
