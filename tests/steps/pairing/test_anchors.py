"""The choice where M1's answers may be rejected too (`rejected: anchored`)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from selfreward_steps.pairing.selection import NoPair, Pair, ScoredCandidate, choose
from steps.pairing.scored import candidates, cut, rules


def anchors(*scores: float | Sequence[float], lengths: Sequence[int] = ()) -> list[ScoredCandidate]:
    """M1's answers; their texts are none of the candidates'."""
    return [replace(each, text=each.text.upper(), anchored=True) for each in candidates(*scores, lengths=lengths)]


ANCHORED: dict[str, tuple[dict[str, Any], list[ScoredCandidate], list[ScoredCandidate], str | NoPair]] = {
    "M1's worst is worse": ({}, candidates(3, 5, 2), anchors(4, 1), "1 over anchor 1"),
    "M1's worst is better": ({}, candidates(3, 5, 2), anchors(4, 3), "1 over 2"),
    "M1's worst is equal: the candidate": ({}, candidates(3, 5, 2), anchors(2), "1 over 2"),
    "an anchor is never chosen": ({}, candidates(3, 2), anchors(5, 5), "0 over 1"),
    "tied candidates, a worse anchor": ({}, candidates(4, 4), anchors(1), "0 over anchor 0"),
    "one candidate is enough": ({}, candidates(4), anchors(1), "0 over anchor 0"),
    "no candidate has a score": ({}, [], anchors(1, 2), NoPair.UNSCORED),
    "all better": ({}, candidates(2, 2), anchors(5), NoPair.TIED),
    "below the margin": ({"minMargin": 3}, candidates(4, 4), anchors(2), NoPair.BELOW_MARGIN),
    "a cut-off anchor is not rejected": ({}, candidates(4, 3), cut(anchors(0), 0), "0 over 1"),
    "only a cut-off anchor is worse": ({}, candidates(4), cut(anchors(0), 0), NoPair.TRUNCATED),
    "a quarrelled-over anchor": ({"maxScoreStd": 1}, candidates(4, 3), anchors([0, 4]), "0 over 1"),
    "rho: the longest of the bottom tier, whoever wrote it": (
        {"lengthControl": [0.25]},
        candidates(5, 2, lengths=[5, 5]),
        anchors(1, 1.9, lengths=[5, 90]),
        "0 over anchor 1",
    ),
}


@pytest.mark.parametrize(("settings", "scored", "first", "expected"), ANCHORED.values(), ids=ANCHORED.keys())
def test_anchored_choice(
    settings: dict[str, Any], scored: list[ScoredCandidate], first: list[ScoredCandidate], expected: str | NoPair
) -> None:
    found = choose(rules(**settings), "p1", scored, first)
    if isinstance(found, Pair):
        assert not found.chosen.anchored
        assert found.rejected is not None
        kind = "anchor " if found.rejected.anchored else ""
        assert f"{found.chosen.index} over {kind}{found.rejected.index}" == expected
    else:
        assert found is expected
