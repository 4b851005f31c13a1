"""The meta-judge: which of a model's own judgements of one answer is the better one (Meta-Rewarding, arXiv 2407.19594).

Of each prompt the answer is taken whose scores disagree most, since there the judge is least sure. Every two of its
judgements are compared by the same model in both orders; the one that wins most is preferred to the one that wins
least, if they state different scores. Pure: what is to be asked, and what follows from the verdicts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import pvariance
from typing import Final

from selfreward_steps.contract import JudgeSettings, mean_score
from selfreward_steps.judging.comparison import result_score, stated_verdict
from selfreward_steps.judging.filling import filled
from selfreward_steps.judging.judgement import JudgedText, Judgement, order_decided
from selfreward_steps.judging.kept_judgements import until_score
from selfreward_steps.judging.pairwise import comparisons, folded
from selfreward_steps.judging.templates import judge_template
from selfreward_steps.rows import PairRow

FILE: Final = "judgement-pairs.jsonl"
"""Beside the judgements: preference pairs of judgements."""
QUESTION: Final = """\
Below are a user's question, the response of an AI assistant, and two judgements of that response. Decide which \
judgement is the more accurate one: what it says of the response is true, and its score follows from that. Neither \
their order nor their length decides.

User: {prompt}

<response>
{response}
</response>

<judgement-a>
{first}
</judgement-a>

<judgement-b>
{second}
</judgement-b>

Give a short reason, and then conclude with a line of its own, in exactly this form:
Verdict: A, Verdict: B or Verdict: tie"""


@dataclass(frozen=True)
class Dispute:
    """One answer and those of its judgements that state a score."""

    text: JudgedText
    place: int
    critiques: Sequence[str]
    scores: Sequence[float]

    @property
    def id(self) -> str:
        return f"{self.text.id}/{self.place}"

    def questions(self, settings: JudgeSettings) -> Iterator[str]:
        """The meta-judge's messages, in the order of `comparisons`."""
        own = None if settings.meta_judge is None else settings.meta_judge.text
        for first, second in comparisons(len(self.critiques)):
            yield filled(
                own or QUESTION,
                prompt=self.text.prompt,
                response=self.text.answers[self.place],
                first=self.critiques[first],
                second=self.critiques[second],
            )


@dataclass(frozen=True)
class Settled:
    """What came of a dispute: the pair if there is one, and in how many of how many comparisons the order decided."""

    pair: PairRow | None
    flips: int
    comparisons: int


def questions_about(settings: JudgeSettings) -> int:
    """Most questions to the meta-judge about one prompt; none where there is no meta-judge."""
    return 0 if settings.meta_judge is None else len(comparisons(settings.samples))


def dispute(text: JudgedText, judged: Sequence[Judgement]) -> Dispute | None:
    """The answer whose scores vary most; None where each has one score only. Of equals the first."""
    found = [_stated(text, place, judgement) for place, judgement in enumerate(judged)]
    most = max(found, key=lambda each: pvariance(each.scores) if each.scores else -1.0, default=None)
    return most if most is not None and len(set(most.scores)) > 1 else None


def settled(settings: JudgeSettings, about: Dispute, replies: Sequence[str | None]) -> Settled:
    """`replies` are the meta-judge's to the questions; None where the server did not take one."""
    template = judge_template(settings)
    found = folded(len(about.critiques), [_said(reply) for reply in replies])
    flips, stated = order_decided(found)
    wins = {place: score for place, each in enumerate(found) if (score := mean_score(each.scores)) is not None}
    if not wins:
        return Settled(None, flips, stated)
    best, worst = max(wins, key=lambda place: wins[place]), min(wins, key=lambda place: wins[place])
    if not wins[best] > wins[worst] or about.scores[best] == about.scores[worst]:
        return Settled(None, flips, stated)
    pair: PairRow = {
        "id": about.id,
        "prompt": [{"role": "user", "content": template.ask(about.text.prompt, about.text.answers[about.place])}],
        "chosen": [{"role": "assistant", "content": until_score(about.critiques[best], template.read)}],
        "chosen_score": wins[best],
        "rejected": [{"role": "assistant", "content": until_score(about.critiques[worst], template.read)}],
        "rejected_score": wins[worst],
    }
    return Settled(pair, flips, stated)


def _stated(text: JudgedText, place: int, judgement: Judgement) -> Dispute:
    kept = [
        (critique, score)
        for critique, score in zip(judgement.critiques, judgement.scores, strict=True)
        if score is not None
    ]
    return Dispute(text, place, [critique for critique, _ in kept], [score for _, score in kept])


def _said(reply: str | None) -> Judgement:
    if reply is None:
        return Judgement([], [], refused="")
    verdict = stated_verdict(reply)
    return Judgement([None if verdict is None else result_score(verdict)], [reply])
