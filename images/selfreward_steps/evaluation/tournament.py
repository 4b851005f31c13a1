"""A tournament of checkpoints: every two of them are compared on every validation prompt, and the one that wins most is
chosen (paper, section 3.1). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from selfreward_steps.client.requests import ChatRequest, seed_for
from selfreward_steps.contract import Sampling
from selfreward_steps.judging.comparison import comparison_message, outcome, stated_verdict


@dataclass(frozen=True)
class Match:
    """Two checkpoints' answers to one prompt, the earlier one's first; the same text is a tie without being asked."""

    id: str
    prompt: str
    earlier: int
    later: int
    answers: tuple[str, str]

    @property
    def is_asked(self) -> bool:
        return self.answers[0] != self.answers[1]

    def requests(self, key: int, sampling: Sampling, seed: int) -> Iterator[ChatRequest]:
        """The two orders, as requests `key` and `key + 1`."""
        for order, (first, second) in enumerate((self.answers, self.answers[::-1])):
            drawn = seed_for(seed, self.id, f"{self.earlier}-{self.later}", order)
            yield ChatRequest(key + order, comparison_message(self.prompt, first, second), sampling, drawn)


@dataclass(frozen=True)
class Standing:
    """What one checkpoint won and lost, over prompts and opponents."""

    wins: int
    losses: int


def matches(prompts: Mapping[str, str], answers: Sequence[Mapping[str, str]]) -> list[Match]:
    """Every two checkpoints on every prompt that both have answered; `answers` of each by the prompt's id."""
    return [
        Match(name, prompt, earlier, later, (answers[earlier][name], answers[later][name]))
        for earlier, later in combinations(range(len(answers)), 2)
        for name, prompt in prompts.items()
        if name in answers[earlier] and name in answers[later]
    ]


def result_of(replies: tuple[str | None, str | None]) -> int:
    """1 where the earlier checkpoint wins, -1 where the later one does; 0 for what the judge does not tell."""
    forward, backward = (None if reply is None else stated_verdict(reply) for reply in replies)
    return outcome(forward, backward)


def standings(count: int, played: Sequence[tuple[Match, int]]) -> list[Standing]:
    """Of each of `count` checkpoints; `played` holds each match with its result."""
    return [
        Standing(
            sum(_for(match, result, number) > 0 for match, result in played),
            sum(_for(match, result, number) < 0 for match, result in played),
        )
        for number in range(count)
    ]


def chosen(found: Sequence[Standing]) -> int:
    """The place of the one with the most wins over losses; of equals the last, which has learnt longest."""
    return max(range(len(found)), key=lambda place: (found[place].wins - found[place].losses, place))


def _for(match: Match, result: int, number: int) -> int:
    return result if number == match.earlier else -result if number == match.later else 0
