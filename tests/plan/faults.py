"""What goes wrong in the simulated world: nothing, what a test scripts, or what a seed draws."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Fate(StrEnum):
    """What one child does with its life."""

    SUCCEED = "succeed"
    LINGER = "linger"
    """Commits, and then does not end by itself."""
    SAY_FAILED = "say-failed"
    """Commits, and its job says it failed (PyTorchJob's verdict)."""
    SLOW_COMMIT = "slow-commit"
    """Ends well; its output shows up in the store later."""
    NO_COMMIT = "no-commit"
    """Ends well, and nothing ever shows up."""
    FAIL = "fail"
    EVICTED = "evicted"
    FAIL_PERMANENT = "fail-permanent"
    HANG = "hang"
    LOST = "lost"
    """Vanishes while it runs."""
    NEVER_START = "never-start"
    # Of servers:
    NEVER_READY = "never-ready"
    DIE = "die"
    """Serves for a while, then fails."""


COUNTED = frozenset({Fate.FAIL, Fate.HANG, Fate.NO_COMMIT})
"""Fates that use up a step's retries."""
RETRIED = (*sorted(COUNTED), Fate.EVICTED, Fate.LOST, Fate.NEVER_START)
HARMLESS = (Fate.LINGER, Fate.SAY_FAILED, Fate.SLOW_COMMIT)
SERVING_FATES = (Fate.FAIL, Fate.NEVER_READY, Fate.NEVER_START, Fate.DIE, Fate.LOST)


DEATHS_IN_A_ROW = 3
"""Beats in which the walker is killed, at most: who never lives for a minute frees no GPU within one."""


class Faults:
    """Nothing goes wrong."""

    def step(self, key: str, attempt: int) -> Fate:
        """What the child of this attempt at a step does."""
        return Fate.SUCCEED

    def serving(self, model: str, attempt: int) -> Fate:
        """What the server of this attempt does."""
        return Fate.SUCCEED

    def exchange(self, model: str, number: int) -> Fate:
        """What a kept engine does that is given this model for that time."""
        return Fate.SUCCEED

    def beats(self, key: str) -> int:
        """How many beats of work a step is."""
        return 2

    def numbers(self, key: str) -> dict[str, float]:
        """What a step says of itself at its end, beside its beats."""
        return {}

    def lag(self) -> int:
        """Beats until a new child is seen."""
        return 0

    def dies_before(self, command: int) -> bool:
        """Whether the walker is killed now: command 0 is right after the status write."""
        return False


@dataclass
class Scripted(Faults):
    """The fates of the first attempts, by step key or by `serve-MODEL`; then all is well."""

    fates: dict[str, list[Fate]] = field(default_factory=dict)
    work: dict[str, int] = field(default_factory=dict)
    """Beats of work by step key."""
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """What steps say of themselves at their end, by key."""
    kills: frozenset[int] = frozenset()
    """Which questions of :meth:`dies_before`, counted over the whole run, are answered with a kill."""
    asked: int = 0

    def step(self, key: str, attempt: int) -> Fate:
        return self._fate(key, attempt)

    def serving(self, model: str, attempt: int) -> Fate:
        return self._fate(f"serve-{model}", attempt)

    def exchange(self, model: str, number: int) -> Fate:
        return self._fate(f"exchange-{model}", number)

    def beats(self, key: str) -> int:
        return self.work.get(key, 2)

    def numbers(self, key: str) -> dict[str, float]:
        return self.metrics.get(key, {})

    def dies_before(self, command: int) -> bool:
        self.asked += 1
        return self.asked - 1 in self.kills

    def _fate(self, name: str, attempt: int) -> Fate:
        fates = self.fates.get(name, [])
        return fates[attempt - 1] if attempt <= len(fates) else Fate.SUCCEED


class Seeded(Faults):
    """Faults drawn from a seed, such that a walk with `limit` retries gets through in the end."""

    def __init__(self, seed: int, rate: float, limit: int) -> None:
        self._random = random.Random(seed)
        self._rate = rate
        self._left = Counter[str]()
        self._limit = limit
        self._deaths = 0
        """Of the walker, one after the other."""

    def step(self, key: str, attempt: int) -> Fate:
        if self._random.random() >= self._rate:
            return Fate.SUCCEED
        fate = self._random.choice((*RETRIED, *HARMLESS))
        return fate if fate not in COUNTED or self._may_fail(key) else Fate.SUCCEED

    def serving(self, model: str, attempt: int) -> Fate:
        if self._random.random() >= self._rate or not self._may_fail(f"serve-{model}"):
            return Fate.SUCCEED
        return self._random.choice(SERVING_FATES)

    def exchange(self, model: str, number: int) -> Fate:
        return self.serving(model, number)

    def beats(self, key: str) -> int:
        return self._random.randint(1, 4)

    def lag(self) -> int:
        return int(self._random.random() < self._rate)

    def dies_before(self, command: int) -> bool:
        dies = self._random.random() < self._rate and self._deaths < DEATHS_IN_A_ROW
        if dies:
            self._deaths += 1
        elif command == -1:
            self._deaths = 0
        return dies

    def _may_fail(self, name: str) -> bool:
        self._left[name] += 1
        return self._left[name] <= self._limit
