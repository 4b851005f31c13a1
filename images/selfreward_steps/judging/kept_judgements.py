"""Which of an answer's sampled judgements is learnt, and where its text ends. Pure.

Means are filtered by people's order, but a model learns one judgement an answer, with the score that its text states:
left to themselves those contradict people, or say one score of every answer, in a tenth of the prompts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import cache

Read = Callable[[str], float | None]
"""From a critique to the score it states."""
_TRAILING = ",;:(–—-"
"""What would promise more where a critique is cut."""


def agreeing_choice(ranks: Sequence[int], scores: Sequence[Sequence[float | None]]) -> list[int] | None:
    """Which judgement to keep of each answer, so that the kept scores are in people's order; None if none are.

    `scores[i][k]` is what judgement k says of answer i, of whom people say `ranks[i]` (0 is best). No better answer may
    have the lower score, and not all may have one and the same; of all such choices the one nearest to the means.
    """
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    means = [math.fsum(known) / len(known) for known in ([s for s in each if s is not None] for each in scores)]

    @cache
    def nearest(place: int, ceiling: float, lowest: float, same: float | None) -> tuple[float, tuple[int, ...]]:
        """Distance and choice for the answers from `place` on. `ceiling` is the lowest score of better ranks, `lowest`
        that of all before, `same` their one score (infinity before the first, None once two differ)."""
        if place == len(order):
            return (math.inf if same is not None else 0.0), ()
        answer = order[place]
        if place and ranks[answer] != ranks[order[place - 1]]:
            ceiling = lowest
        found: tuple[float, tuple[int, ...]] = (math.inf, ())
        for k, score in enumerate(scores[answer]):
            if score is None or score > ceiling:
                continue
            alike = score if same in (math.inf, score) else None
            rest, choice = nearest(place + 1, ceiling, min(lowest, score), alike)
            distance = rest + abs(score - means[answer])
            if distance < found[0]:
                found = distance, (k, *choice)
        return found

    distance, choice = nearest(0, math.inf, math.inf, math.inf)
    if math.isinf(distance):
        return None
    kept = dict(zip(order, choice, strict=True))
    return [kept[answer] for answer in range(len(ranks))]


def until_score(critique: str, read: Read) -> str:
    """The critique up to its last score: what a judge says after it, it need not learn to say.

    Words are taken from the end as long as what is left states the same score, and what is cut states none.
    """
    score, end = read(critique), len(critique)
    if score is None:
        return critique
    for word in reversed(list(re.finditer(r"\S+", critique))):
        start = word.start()
        if read(critique[:start]) != score or read(critique[start:]) is not None:
            break
        end = start
    kept = critique[:end].rstrip()
    bare = kept.rstrip(_TRAILING).rstrip()
    return bare if read(bare) == score else kept
