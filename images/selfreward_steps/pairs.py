"""Step `pairs`: from judgements to preference pairs, and the iteration's numbers (paper section 2.3).

The choice itself is :mod:`selfreward_steps.pairing.selection`. Everything streams: what is held in memory is one prompt
a shard, however many there are. It must not change a score, and must not end in an empty dataset: training on
nothing would only fail later, and dearer.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Final

from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.contract import PairsConfig, PairStrategy
from selfreward_steps.errors import PermanentError
from selfreward_steps.judging.meta_judge import FILE as JUDGEMENT_PAIRS
from selfreward_steps.pairing.judged_prompts import JudgedPrompt, judged_prompts
from selfreward_steps.pairing.selection import NoPair, Pair, PairRules, ScoredCandidate, choose, perfect
from selfreward_steps.pairing.statistics import PairStatistics
from selfreward_steps.rows import Message, PairRow, count_rows, is_truncated, read_rows, write_json, write_rows

_PROGRESS_EVERY: Final = 500
"""Prompts between two progress updates; far less than a second's work."""


def run(context: StepContext[PairsConfig]) -> StepOutcome:
    """Roles `prompts`, `responses` and `judgements` to `pairs.jsonl` (in the prompts' order) and `statistics.json`.

    With the roles `anchors` and `anchor-judgements`, M1's answers may be rejected too (`preferences.rejected`).

    Raises PermanentError NoScores when no judgement states a score, NoPreferencePairs when no prompt gives a pair,
    and RowsDoNotMatch when the inputs do not belong together.
    """
    config = context.config
    rules = PairRules.of(config.settings, config.iteration or 1, context.seed, config.max_score)
    statistics = PairStatistics()
    folder = context.scratch / "pairs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_rows(folder / "pairs.jsonl", chain(_pairs(context, rules, statistics), _judgement_pairs(context, statistics)))
    _require_pairs(context, rules, statistics)
    write_json(folder / "statistics.json", statistics.as_json())
    return StepOutcome([Output(context.output, folder)], metrics=statistics.metrics())


def _pairs(context: StepContext[PairsConfig], rules: PairRules, statistics: PairStatistics) -> Iterator[PairRow]:
    prompts = context.fetch("prompts") / "prompts.jsonl"
    total = count_rows(prompts)
    anchors: Iterable[JudgedPrompt | None] = (
        _judged(context, prompts, "anchors", "anchor-judgements") if _is_anchored(context) else repeat(None)
    )
    for judged, anchor in zip(_judged(context, prompts, "responses", "judgements"), anchors, strict=False):
        scored = scored_candidates(judged)
        anchored = [] if anchor is None else scored_candidates(anchor, anchored=True)
        choice = NoPair.REFUSED if judged.is_refused else _choice(rules, judged, scored, anchored)
        noisy = sum(not rules.steady(candidate) for candidate in scored)
        statistics.add(judged, scored, noisy, choice)
        if anchor is not None:
            statistics.add_anchors(anchored)
        if statistics.prompts % _PROGRESS_EVERY == 0 or statistics.prompts == total:
            context.progress.update(statistics.prompts, total, "prompts", pairs=statistics.pairs)
        if not isinstance(choice, NoPair):
            for pair in choice:
                row = pair_row(judged, pair, tell_anchored=anchor is not None)
                if context.config.tells_candidates:
                    row["candidates"] = [{"content": each.text, "score": each.mean} for each in scored]
                yield row


def _judgement_pairs(context: StepContext[PairsConfig], statistics: PairStatistics) -> Iterator[PairRow]:
    """Those of a meta-judge (`judge.metaJudge`), which teach judging beside answering."""
    for folder in context.fetch_shards("judgements"):
        if (path := folder / JUDGEMENT_PAIRS).exists():
            for row in read_rows(path, PairRow):
                statistics.judgement_pairs = (statistics.judgement_pairs or 0) + 1
                yield row


def _choice(
    rules: PairRules, judged: JudgedPrompt, scored: Sequence[ScoredCandidate], anchored: Sequence[ScoredCandidate]
) -> Sequence[Pair] | NoPair:
    if rules.strategy is PairStrategy.POSITIVE_ONLY:
        # An expected score comes near the top one and never reaches it: it is the one that it is nearest to.
        return perfect(replace(rules, top_score=rules.top_score - 0.5) if judged.masses else rules, scored)
    found = choose(rules, judged.id, scored, anchored)
    return found if isinstance(found, NoPair) else [found]


def _is_anchored(context: StepContext[PairsConfig]) -> bool:
    return "anchors" in context.config.inputs


def _judged(context: StepContext[PairsConfig], prompts: Path, answers: str, judgements: str) -> Iterator[JudgedPrompt]:
    return judged_prompts(
        prompts,
        [folder / "responses.jsonl" for folder in context.fetch_shards(answers)],
        [folder / "judgements.jsonl" for folder in context.fetch_shards(judgements)],
    )


def scored_candidates(judged: JudgedPrompt, *, anchored: bool = False) -> list[ScoredCandidate]:
    """The candidates for which at least one judgement states a score, in their order."""
    found = []
    flips = judged.flips or [frozenset()] * len(judged.candidates)
    for index, (candidate, scores) in enumerate(zip(judged.candidates, judged.scores, strict=True)):
        if any(score is not None for score in scores):
            cut = is_truncated(candidate)
            text = candidate["text"]
            found.append(ScoredCandidate.of(index, text, scores, anchored=anchored, truncated=cut, flips=flips[index]))
    return found


def pair_row(judged: JudgedPrompt, pair: Pair, *, tell_anchored: bool = False) -> PairRow:
    """TRL's conversational form; without the `rejected` fields under `positive-only`.

    `tell_anchored`: say of every rejected answer whether it is M1's.
    """
    row: PairRow = {
        "id": judged.id,
        "prompt": [{"role": "user", "content": judged.prompt}],
        "chosen": _answer(pair.chosen),
        "chosen_score": pair.chosen.mean,
    }
    if pair.rejected is None:
        return row
    row = {**row, "rejected": _answer(pair.rejected), "rejected_score": pair.rejected.mean}
    return {**row, "rejected_anchored": pair.rejected.anchored} if tell_anchored else row


def _answer(candidate: ScoredCandidate) -> list[Message]:
    return [{"role": "assistant", "content": candidate.text}]


_WHAT: Final[dict[NoPair, str]] = {
    NoPair.UNSCORED: "without enough scored candidates",
    NoPair.REFUSED: "refused by a server",
    NoPair.TRUNCATED: "without enough answers that end within responses.sampling.maxTokens",
    NoPair.NOISY: "whose judgements disagree by more than preferences.maxScoreStd {std:g}",
    NoPair.TIED: "tied",
    NoPair.BELOW_MARGIN: "below preferences.minMargin {margin:g}",
    NoPair.LENGTH_CONTROL: "without a longer, worse answer under preferences.lengthControl {rho:g}",
    NoPair.FLIPPED: "whose verdict follows the order of the answers",
    NoPair.IDENTICAL: "with equal texts",
    NoPair.IMPERFECT: "without an answer of the top score {top:g}",
}
_ADVICE: Final[dict[NoPair, str]] = {
    NoPair.UNSCORED: "look at the critiques, raise judge.sampling.maxTokens, or set judge.mode: logprob",
    NoPair.REFUSED: "read refused.jsonl beside the responses and judgements, and shorten prompts or answers, or raise "
    "serving.maxModelLength",
    NoPair.TRUNCATED: "raise responses.sampling.maxTokens, or set preferences.truncated: keep",
    NoPair.NOISY: "raise preferences.maxScoreStd, or lower judge.sampling.temperature",
    NoPair.TIED: "set judge.mode: logprob, raise judge.samples, responses.sampling.temperature or prompts.count",
    NoPair.BELOW_MARGIN: "lower preferences.minMargin",
    NoPair.LENGTH_CONTROL: "lower preferences.lengthControl or preferences.minMargin",
    NoPair.FLIPPED: "raise responses.perPrompt, train the judge on more ranked answers (seedData.rankings), or set "
    "judge.mode: cot",
    NoPair.IDENTICAL: "raise responses.sampling.temperature",
    NoPair.IMPERFECT: "raise prompts.count or responses.perPrompt, or use another preferences.strategy",
}
"""What to change, by the reason most prompts have."""
_ADVICE_BY_TOKEN: Final[dict[NoPair, str]] = {
    NoPair.UNSCORED: "train the judge on evaluation data (seedData.rankings or seedData.eft), end judge.customTemplate "
    "with a request for the number alone, or set judge.mode: cot",
    NoPair.TIED: "raise responses.sampling.temperature or prompts.count",
}
"""The same, where it differs because the judge is read by token already (`judge.mode: logprob`)."""
_ADVICE_COMPARED: Final[dict[NoPair, str]] = {
    NoPair.UNSCORED: "look at the critiques, or raise judge.sampling.maxTokens",
    NoPair.TIED: "raise responses.perPrompt, responses.sampling.temperature or prompts.count",
}
"""The same for a judge that compares (`judge.mode: pairwise`)."""


def _require_pairs(context: StepContext[PairsConfig], rules: PairRules, statistics: PairStatistics) -> None:
    if statistics.judgements and not statistics.parsed:
        raise PermanentError(
            "NoScores",
            f"{context.input('judgements').artifact}: none of {statistics.judgements} judgements of "
            f"{statistics.candidates} candidates ({statistics.prompts} prompts) states a score in range: look at the "
            "critiques in judgements.jsonl, then change judge.template, or "
            + _advice(statistics, NoPair.UNSCORED).removeprefix("look at the critiques, "),
            statistics.metrics(),
        )
    if statistics.pairs:
        return
    counted = statistics.dropped.most_common()
    values = {"std": rules.max_score_std or 0, "margin": rules.min_margin, "rho": rules.rho, "top": rules.top_score}
    why = ", ".join(f"{count} {_WHAT[reason].format(**values)}" for reason, count in counted)
    unparsed = statistics.judgements - statistics.parsed
    raise PermanentError(
        "NoPreferencePairs",
        f"{context.output}: no preference pair from {statistics.prompts} prompts ({why or 'nothing to judge'}; "
        f"{unparsed} of {statistics.judgements} judgements state no score): "
        + (_advice(statistics, counted[0][0]) if counted else "raise prompts.count"),
        statistics.metrics(),
    )


def _advice(statistics: PairStatistics, reason: NoPair) -> str:
    if statistics.is_compared:
        return _ADVICE_COMPARED.get(reason, _ADVICE[reason])
    by_token = {} if statistics.score_mass is None else _ADVICE_BY_TOKEN
    return by_token.get(reason, _ADVICE[reason])
