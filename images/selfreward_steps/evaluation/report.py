"""The parts of `metrics.json` that tell of the model itself: as a judge, and how long its answers are. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from selfreward_steps.contract import JudgeMode, JudgeSettings, mean_score
from selfreward_steps.evaluation.lm_eval_run import LM_EVAL
from selfreward_steps.evaluation.work import AnswerRow, SeenRow
from selfreward_steps.judging.judgement import Judgement, order_decided
from selfreward_steps.judging.templates import judge_template
from selfreward_steps.measuring.histograms import histogram
from selfreward_steps.measuring.intervals import mean, share
from selfreward_steps.measuring.judge_quality import RankedScores, judge_quality
from selfreward_steps.rows import RankingRow


def judge_section(
    ranked: Sequence[RankingRow], judged: Sequence[Sequence[Judgement]], settings: JudgeSettings, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How well the model's judgements of ranked answers agree with people's, and a row a prompt."""
    stated = [score for each in judged for judgement in each for score in judgement.scores]
    known = [score for score in stated if score is not None]
    quality = judge_quality(
        list(map(_ranked_scores, ranked, judged)),
        max_score=judge_template(settings).scores.high,
        seed=seed,
        nearest=settings.mode is JudgeMode.LOGPROB,
    )
    masses = [judgement.mass for each in judged for judgement in each if judgement.mass is not None]
    swayed = [order_decided(each) for each in judged if any(judgement.flips is not None for judgement in each)]
    section = {
        "prompts": len(ranked),
        "judgements": len(stated),
        "parse_rate": len(known) / len(stated) if stated else None,
        "parse_rate_interval": share(map(_parsed, judged)).as_json(),
        **({"mean_score_mass": sum(masses) / len(masses)} if masses else {}),
        **({"position_bias": share(swayed).as_json()} if swayed else {}),
        "mean_score": sum(known) / len(known) if known else None,
        "score_histogram": histogram(Counter(round(score, 4) for score in known)),
        **{name: each.as_json() for name, each in quality.items()},
    }
    return section, list(map(_judge_row, ranked, judged))


def answers_section(rows: Sequence[AnswerRow], truncated: int, seed: int) -> dict[str, Any]:
    """How many answers there are, how many of them were cut off, and how long they are, in characters."""
    lengths = [len(row["answer"]) for row in rows]
    return {
        "prompts": len(lengths),
        "truncated": truncated,
        "mean_chars": sum(lengths) / len(lengths) if lengths else None,
        "mean_chars_interval": mean(map(float, lengths), seed).as_json(),
    }


def seen_section(rows: Sequence[SeenRow]) -> dict[str, Any]:
    """How many rows were not asked since training has seen them: all, and by what they would have measured."""
    return {"prompts": len(rows), **Counter(row["of"].replace("-", "_") for row in rows)}


def flat(report: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The report's numbers for status: `judge_pairwise_accuracy`, `head_to_head_win`, …; lm-eval's have names of their
    own."""
    found: dict[str, float] = {}
    for part, numbers in report.items():
        if part == LM_EVAL:
            continue
        for name, number in numbers.items():
            value = number.get("value") if isinstance(number, Mapping) else number
            if isinstance(value, int | float) and not name.endswith("_interval"):
                found[f"{part}_{name}"] = float(value)
    return found


def _parsed(judged: Sequence[Judgement]) -> tuple[float, float]:
    """One prompt's judgements that state a score, and all of them."""
    scores = [score for judgement in judged for score in judgement.scores]
    return float(len(scores) - scores.count(None)), float(len(scores))


def _judge_row(row: RankingRow, judged: Sequence[Judgement]) -> dict[str, Any]:
    answers = [
        {"rank": answer["rank"], "scores": each.scores, "critiques": each.critiques}
        for answer, each in zip(row["answers"], judged, strict=True)
    ]
    return {"id": row["id"], "prompt": row["prompt"], "answers": answers}


def _ranked_scores(row: RankingRow, judged: Sequence[Judgement]) -> RankedScores:
    return RankedScores(
        ranks=[answer["rank"] for answer in row["answers"]],
        scores=[mean_score(each.scores) for each in judged],
        lengths=[len(answer["content"]) for answer in row["answers"]],
    )
