"""Judgements of candidates by a served model: the one way in which every step asks for them.

Step judge, the EFT filter and the evaluation ask through here, so that a judge is tested exactly as it is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice

from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.client.requests import ChatRequest, Completion, Refusal, seed_for
from selfreward_steps.contract import JudgeMode, JudgeSettings, Sampling
from selfreward_steps.errors import PermanentError
from selfreward_steps.judging.judgement import JudgedText, JudgeItem, Judgement
from selfreward_steps.judging.pairwise import comparisons, folded
from selfreward_steps.judging.scoring import expected_score
from selfreward_steps.judging.templates import JudgeTemplate, judge_template
from selfreward_steps.rows import RankingRow

TOP_LOGPROBS = 20
"""Alternatives of the first token to weigh: the most that vLLM (by default) and OpenAI give."""
_FIRST_TOKEN = Sampling(temperature=1.0, top_p=1.0, max_tokens=1)
"""The model's own distribution: some servers report probabilities after temperature and nucleus, some before."""


def judge_items(settings: JudgeSettings, texts: Iterable[JudgedText]) -> Iterator[JudgeItem]:
    """Every request about the texts, numbered; those of one prompt follow each other."""
    index = 0
    for text in texts:
        for first, second in _asked(settings, len(text.answers)):
            key = f"{text.id}/{first}" if second is None else f"{text.id}/{first}-{second}"
            other = None if second is None else text.answers[second]
            yield JudgeItem(key, text.prompt, text.answers[first], index, other)
            index += 1


def requests_about(settings: JudgeSettings, answers: int) -> int:
    """How many requests there are about a prompt with so many answers."""
    return len(_asked(settings, answers))


def judgements_of(settings: JudgeSettings, answers: int, said: Iterator[Judgement]) -> list[Judgement]:
    """The judgement of each of a prompt's answers, from the next ones of `said`, one a request."""
    taken = list(islice(said, requests_about(settings, answers)))
    return folded(answers, taken) if settings.mode is JudgeMode.PAIRWISE else taken


def ranked_texts(rows: Iterable[RankingRow]) -> Iterator[JudgedText]:
    """Ranked answers as something to judge."""
    for row in rows:
        yield JudgedText(row["id"], row["prompt"], [answer["content"] for answer in row["answers"]])


def _asked(settings: JudgeSettings, answers: int) -> Sequence[tuple[int, int | None]]:
    """The answer that each request is about, and the one that it is compared with."""
    if settings.mode is JudgeMode.PAIRWISE:
        return comparisons(answers)
    return [(place, None) for place in range(answers)]


async def judge_candidates(
    client: ServingClient, settings: JudgeSettings, items: Iterable[JudgeItem], seed: int
) -> AsyncIterator[tuple[JudgeItem, Judgement]]:
    """Judge `items`, taken one at a time and sent in their order; judgements come as they are finished.

    Give the candidates of one prompt one after the other: the server's prefix cache then holds their common part.
    Raises what the client raises, PermanentError BadTemplate, and LogprobsMissing where the server gives none.
    """
    batch = _Batch(settings, seed, iter(items))
    async for answer in client.stream(InOrder(batch.requests())):
        yield batch.finish(answer)


@dataclass
class _Batch:
    """Knows which item a request in flight belongs to, and no other."""

    settings: JudgeSettings
    seed: int
    items: Iterator[JudgeItem]
    template: JudgeTemplate = field(init=False)
    in_flight: dict[int, JudgeItem] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.template = judge_template(self.settings)

    def requests(self) -> Iterator[ChatRequest]:
        mode = self.settings.mode
        reasoned = mode is not JudgeMode.LOGPROB
        for number, item in enumerate(self.items):
            self.in_flight[number] = item
            yield ChatRequest(
                key=number,
                message=self.template.ask(item.prompt, item.response, item.other),
                sampling=self.settings.sampling if reasoned else _FIRST_TOKEN,
                seed=seed_for(self.seed, item.key),
                samples=self.settings.samples if mode is JudgeMode.COT else 1,
                top_logprobs=0 if reasoned else TOP_LOGPROBS,
            )

    def finish(self, answer: Completion | Refusal) -> tuple[JudgeItem, Judgement]:
        item = self.in_flight.pop(answer.key)
        if isinstance(answer, Refusal):
            return item, Judgement([], [], refused=answer.why)
        if self.settings.mode is JudgeMode.LOGPROB:
            return item, self._weighed(answer)
        critiques = [choice.text for choice in answer.choices]
        return item, Judgement([self.template.read(text) for text in critiques], critiques, answer.tokens)

    def _weighed(self, completion: Completion) -> Judgement:
        (choice,) = completion.choices
        if choice.top is None:
            raise PermanentError(
                "LogprobsMissing",
                "judge.mode: logprob, but the judge's server answers without logprobs: use mode cot, or an engine "
                "that gives them, such as vLLM",
            )
        score, mass = expected_score(choice.top, self.template.scores)
        return Judgement([score], [choice.text], completion.tokens, mass)


async def judge_missing(
    client: ServingClient,
    settings: JudgeSettings,
    items: Iterable[JudgeItem],
    seed: int,
    finished: FinishedRows,
    done: Callable[[], None],
) -> None:
    """Judge those of `items` whose index is not in `finished`, and keep each judgement there as it comes."""
    missing = (item for item in items if item.index not in finished)
    async for item, judgement in judge_candidates(client, settings, missing, seed):
        if judgement.refused is None:
            await finished.add(item.index, asdict(judgement))
        else:
            finished.refuse(item.index, asdict(judgement))
        done()
