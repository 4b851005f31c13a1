"""New prompts out of few-shot requests, so that what is accepted depends on the seed alone and not on who is faster.

Request i shows demonstrations from the seed and from what was accepted among requests up to i - `window`, and answers
are looked at in the order of their requests: any concurrency and any number of restarts give the same prompts, and
the server is kept busy without waves. Nothing here sends.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence

from selfreward_steps.client.requests import ChatRequest, seed_for
from selfreward_steps.contract import PromptSettings
from selfreward_steps.prompting.filters import Pool, Rejection, new_prompt, rejection

_Answer = tuple[str, str] | None
"""Text and finish reason; None where the server did not take the request."""


STOP = ("\nTask ",)
"""Where a model that goes on with the list is to be stopped."""


def few_shot(demonstrations: Sequence[str]) -> str:
    """The user message that shows `demonstrations` and asks for one more, in a form that chat models follow."""
    shown = "\n\n".join(f"Task {number}: {text}" for number, text in enumerate(demonstrations, 1))
    return (
        f"Come up with a series of different tasks for an AI assistant.\n\n{shown}\n\n"
        f"Write one new task, Task {len(demonstrations) + 1}, and nothing else."
    )


def window_of(count: int) -> int:
    """How many requests may be under way before the oldest must be in; a matter of the data, never of the client.

    Wide enough for a busy server, narrow enough that generated demonstrations are in use for most of the run.
    """
    return min(1024, max(32, count // 4))


class PromptWriting:
    """The source of requests for :class:`ServingClient`, and what its answers have come to.

    `recovered(i)` is the answer that an earlier attempt got to request i (text, finish reason), or None.
    """

    def __init__(
        self,
        settings: PromptSettings,
        seeds: Sequence[str],
        pool: Pool,
        *,
        seed: int,
        recovered: Callable[[int], tuple[str, str] | None],
    ) -> None:
        self._settings = settings
        self._seeds = seeds
        self._pool = pool
        self._seed = seed
        self._recovered = recovered
        self._window = window_of(settings.count)
        self._limit = settings.count * settings.max_attempts_per_prompt
        self._sent = 0
        self._arrived: dict[int, _Answer] = {}
        self._accepted_after = [0]
        self._changed = asyncio.Condition()
        self._tail: Callable[[], None] = lambda: None
        self.accepted: list[str] = []
        """New prompts, in the order of their requests."""
        self.drops: Counter[Rejection] = Counter()

    @property
    def attempts(self) -> int:
        """How many completions have been looked at so far."""
        return len(self._accepted_after) - 1

    def begin(self, tail: Callable[[], None]) -> None:
        """Keep `tail`, to be called when the last requests are given out; see :class:`RequestSource`."""
        self._tail = tail

    async def take(self) -> ChatRequest | None:
        """The next request, as soon as what it shows is known; None when there are prompts or attempts enough."""
        async with self._changed:
            while not self._over():
                if self._must_wait():
                    await self._changed.wait()
                    continue
                index = self._sent
                self._sent += 1
                known = self._recovered(index)
                if known is None:
                    return self._request(index)
                self._look_at(index, known)
            self._changed.notify_all()
            return None

    async def refused(self, index: int) -> None:
        """The server does not take request `index`: an attempt that came to nothing."""
        async with self._changed:
            self._look_at(index, None)
            self._changed.notify_all()

    async def answered(self, index: int, text: str, finish_reason: str) -> None:
        """The answer to request `index` is there."""
        async with self._changed:
            self._look_at(index, (text, finish_reason))
            self._changed.notify_all()

    def _over(self) -> bool:
        return len(self.accepted) >= self._settings.count or self.attempts >= self._limit

    def _must_wait(self) -> bool:
        pending = self._sent - self.attempts
        if self._sent >= self._limit or pending >= self._needed():
            self._tail()
            return True
        return pending >= self._window

    def _needed(self) -> int:
        """Twice the requests that should give what is missing, by the share accepted so far (Laplace's estimate).

        Fewer would leave the server idle in the last rounds, more would be thrown away. It only holds requests back:
        what is accepted does not depend on it.
        """
        missing = self._settings.count - len(self.accepted)
        return math.ceil(2 * missing * (self.attempts + 2) / (len(self.accepted) + 1))

    def _request(self, index: int) -> ChatRequest:
        return ChatRequest(
            key=index,
            message=few_shot(self._demonstrations(index)),
            sampling=self._settings.sampling,
            seed=seed_for(self._seed, "prompt", index),
            stop=STOP,
        )

    def _demonstrations(self, index: int) -> list[str]:
        draw = random.Random(seed_for(self._seed, "demonstrations", index))
        known = self._accepted_after[max(0, index - self._window)]
        generated = draw.sample(range(known), min(self._settings.generated_shots, known))
        wanted = self._settings.seed_shots + self._settings.generated_shots - len(generated)
        chosen = draw.sample(self._seeds, min(wanted, len(self._seeds)))
        chosen += [self.accepted[place] for place in generated]
        draw.shuffle(chosen)
        return chosen

    def _look_at(self, index: int, answer: _Answer) -> None:
        """Take in one answer, and decide on all whose turn it now is."""
        self._arrived[index] = answer
        while self.attempts in self._arrived and len(self.accepted) < self._settings.count:
            self._decide(self._arrived.pop(self.attempts))
            self._accepted_after.append(len(self.accepted))

    def _decide(self, answer: _Answer) -> None:
        if answer is None:
            self.drops[Rejection.REFUSED] += 1
            return
        text, finish_reason = answer
        draft = new_prompt(text, cut_off=finish_reason == "length")
        reason = rejection(draft, settings=self._settings, pool=self._pool)
        if reason is None:
            self.accepted.append(draft.text)
            self._pool.add(draft.text)
        else:
            self.drops[reason] += 1
