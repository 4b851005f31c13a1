"""The meta-judge asked: every dispute of a step's judgements put to the server, and what came of it.

What is a dispute and what follows from its verdicts is :mod:`selfreward_steps.judging.meta_judge`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.client.requests import ChatRequest, Refusal, seed_for
from selfreward_steps.contract import JudgeSettings
from selfreward_steps.judging.judgement import JudgedText, Judgement
from selfreward_steps.judging.meta_judge import Settled, dispute, questions_about, settled

Judged = Iterable[tuple[JudgedText, Sequence[Judgement]]]


async def ask_meta_judge(
    client: ServingClient,
    settings: JudgeSettings,
    judged: Judged,
    seed: int,
    finished: FinishedRows,
    first: int,
    done: Callable[[], None],
) -> None:
    """Put the disputes of the judged prompts to the server; from row `first` on, each prompt has as many rows as it can
    have questions, and those that it has not are kept as empty ones."""
    async for answer in client.stream(InOrder(_requests(settings, judged, seed, finished, first))):
        if isinstance(answer, Refusal):
            finished.refuse(answer.key, {"refused": answer.why})
        else:
            await finished.add(answer.key, {"text": answer.choices[0].text})
        done()


def settlements(settings: JudgeSettings, judged: Judged, finished: FinishedRows, first: int) -> Iterator[Settled]:
    """What came of each dispute, in the order of the prompts."""
    size = questions_about(settings)
    for number, (text, judgements) in enumerate(judged):
        if (about := dispute(text, judgements)) is not None:
            start = first + number * size
            asked = len(list(about.questions(settings)))
            yield settled(settings, about, [finished.row(start + place).get("text") for place in range(asked)])


def _requests(
    settings: JudgeSettings, judged: Judged, seed: int, finished: FinishedRows, first: int
) -> Iterator[ChatRequest]:
    size = questions_about(settings)
    for number, (text, judgements) in enumerate(judged):
        about = dispute(text, judgements)
        questions = [] if about is None else list(about.questions(settings))
        for place in range(size):
            key = first + number * size + place
            if key in finished:
                continue
            if place >= len(questions):
                finished.refuse(key, {})
            else:
                drawn = seed_for(seed, text.id, "meta", place)
                yield ChatRequest(key, questions[place], settings.sampling, drawn)
