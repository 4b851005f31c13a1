"""What evaluations wrote row by row: comparisons with other models, and the judge beside people's ranks.

Files are small beside the candidates: a few hundred prompts a model. Beyond a limit there is an even sample, of the
same prompts for every model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from typing import Any, TypeVar

from selfreward_steps.contract import COMPARISON_FILES, JUDGED_RANKINGS, artifact_names

from selfreward.report.artifacts import Artifacts
from selfreward.report.texts.candidates import even_order
from selfreward.report.texts.model import ComparisonReport, RankedAnswerReport, RankedReport, Sample

Row = dict[str, Any]
T = TypeVar("T", ComparisonReport, RankedReport)


def comparisons(artifacts: Artifacts, met: Sequence[tuple[str, str, str, str]], limit: int) -> Sample[ComparisonReport]:
    """At most about `limit` comparisons; `met` has a model, its evaluation's artifact, the opponent, and the part of
    `metrics.json` that tells of it."""
    groups = [
        [
            ComparisonReport(model, against, row["id"], row["prompt"], row["answer"], row["against"], row["outcome"])
            for row in artifacts.rows(evaluation, COMPARISON_FILES[section])
        ]
        for model, evaluation, against, section in met
        if section in COMPARISON_FILES
    ]
    return _sample(groups, limit)


def rankings(artifacts: Artifacts, judged: Sequence[tuple[str, str]], limit: int) -> Sample[RankedReport]:
    """At most about `limit` ranked prompts; `judged` has a model and its evaluation's artifact."""
    rows = [(model, list(artifacts.rows(evaluation, JUDGED_RANKINGS))) for model, evaluation in judged]
    ids = {row["id"] for _, each in rows for row in each}
    kept = set(nsmallest(limit // max(1, len(rows)), ids, key=even_order))
    texts = dict(_texts(artifacts, kept))
    found = [_ranked(model, row, texts.get(row["id"], ())) for model, each in rows for row in each if row["id"] in kept]
    return Sample(tuple(found), sum(len(each) for _, each in rows))


def _texts(artifacts: Artifacts, ids: set[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The ranked answers themselves, which an evaluation does not repeat, by prompt."""
    for row in artifacts.rows(artifact_names.EFT, "test.jsonl"):
        if row["id"] in ids:
            yield row["id"], tuple(answer["content"] for answer in row["answers"])


def _ranked(model: str, row: Row, texts: Sequence[str]) -> RankedReport:
    answers = [
        RankedAnswerReport(
            rank=answer["rank"],
            text=texts[place] if place < len(texts) else "",
            scores=tuple(answer["scores"]),
            critiques=tuple(answer["critiques"]),
        )
        for place, answer in enumerate(row["answers"])
    ]
    return RankedReport(model, row["id"], row["prompt"], tuple(answers))


def _sample(groups: Iterable[Sequence[T]], limit: int) -> Sample[T]:
    """So many rows of every group as its share of the limit is."""
    known = [group for group in groups if group]
    share = limit // max(1, len(known))
    rows = []
    for group in known:
        kept = set(nsmallest(share, {row.id for row in group}, key=even_order))
        rows += [row for row in group if row.id in kept]
    return Sample(tuple(rows), sum(map(len, known)))
