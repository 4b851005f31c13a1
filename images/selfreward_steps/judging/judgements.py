"""Judgements of candidates by a served model: the one way in which every step asks for them.

Step judge, the EFT filter and the evaluation ask through here, so that a judge is tested exactly as it is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.client.requests import ChatRequest, Completion, Refusal, seed_for
from selfreward_steps.contract import JudgeMode, JudgeSettings, Sampling
from selfreward_steps.errors import PermanentError
from selfreward_steps.judging.scoring import expected_score
from selfreward_steps.judging.templates import JudgeTemplate, judge_template
from selfreward_steps.rows import RankingRow

TOP_LOGPROBS = 20
"""Alternatives of the first token to weigh: the most that vLLM (by default) and OpenAI give."""
_FIRST_TOKEN = Sampling(temperature=1.0, top_p=1.0, max_tokens=1)
"""The model's own distribution: some servers report probabilities after temperature and nucleus, some before."""


@dataclass(frozen=True)
class JudgeItem:
    """One candidate to judge. `key` identifies it for its seed, `index` is the caller's own."""

    key: str
    prompt: str
    response: str
    index: int = 0


def ranked_items(rows: Sequence[RankingRow]) -> list[JudgeItem]:
    """Every ranked answer as something to judge; those of one prompt follow each other."""
    answers = [
        (f"{row['id']}/{place}", row["prompt"], a["content"]) for row in rows for place, a in enumerate(row["answers"])
    ]
    return [JudgeItem(*answer, index) for index, answer in enumerate(answers)]


@dataclass(frozen=True)
class Judgement:
    """K scores (None: not stated, or out of range) with their critiques; `mass` only in mode `logprob`.

    A candidate that the server did not take has neither, and its words in `refused`.
    """

    scores: list[float | None]
    critiques: list[str]
    tokens: int | None = None
    mass: float | None = None
    refused: str | None = None


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
        reasoned = self.settings.mode is JudgeMode.COT
        for number, item in enumerate(self.items):
            self.in_flight[number] = item
            yield ChatRequest(
                key=number,
                message=self.template.ask(item.prompt, item.response),
                sampling=self.settings.sampling if reasoned else _FIRST_TOKEN,
                seed=seed_for(self.seed, item.key),
                samples=self.settings.samples if reasoned else 1,
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
