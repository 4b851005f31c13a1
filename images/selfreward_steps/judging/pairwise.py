"""Comparisons of every two answers of a prompt in both orders, folded into a judgement of each answer. Pure.

An answer's score against another is 1 where it wins in both orders, 0 where it loses, ½ where the orders disagree or
both say tie; the mean over the others is Copeland's score as a share. Nothing is asked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from selfreward_steps.judging.comparison import is_swayed, outcome, result_score
from selfreward_steps.judging.judgement import Judgement


def comparisons(count: int) -> list[tuple[int, int]]:
    """The places of every two of `count` answers in both orders, those with the same first one together."""
    return list(permutations(range(count), 2))


def folded(count: int, said: Sequence[Judgement]) -> list[Judgement]:
    """A judgement of each of `count` answers from those of their comparisons, in the order of `comparisons`.

    Each comparison states one score, what its first answer gets. A result is None where either order states none or
    was not taken; an answer of which no comparison was taken is refused.
    """
    found = dict(zip(comparisons(count), said, strict=True))
    return [_one(place, count, found) for place in range(count)]


def _one(place: int, count: int, found: dict[tuple[int, int], Judgement]) -> Judgement:
    others = [other for other in range(count) if other != place]
    mine = [found[place, other] for other in others]
    refused = [each.refused for each in mine if each.refused is not None]
    if refused and len(refused) == len(mine):
        return Judgement([], [], refused=refused[0])
    verdicts = [(_verdict(found[place, other]), _verdict(found[other, place])) for other in others]
    return Judgement(
        scores=[None if None in pair else result_score(outcome(*pair)) for pair in verdicts],
        critiques=[each.critiques[0] if each.critiques else "" for each in mine],
        tokens=sum(each.tokens or 0 for each in mine),
        flips=[other for other, pair in zip(others, verdicts, strict=True) if is_swayed(*pair)],
    )


def _verdict(said: Judgement) -> int | None:
    """1 where the answer that stood first wins, -1 where it loses, 0 for a tie."""
    score = said.scores[0] if said.scores else None
    return None if score is None else round(2 * score - 1)
