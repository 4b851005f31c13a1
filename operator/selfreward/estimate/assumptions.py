"""What nobody can know before a run: how long prompts and answers are, how many rows and pairs there will be."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Bound(StrEnum):
    """The two ends of what is estimated."""

    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Range:
    """A low and a high value."""

    low: float
    high: float

    def at(self, bound: Bound) -> float:
        """The value at one end."""
        return self.low if bound is Bound.LOW else self.high


@dataclass(frozen=True, slots=True)
class Seeds:
    """Rows of the human data. Without files that can be counted, the paper's: 3,200 instructions, and ranked answers
    whose prompts it does not number; 2,171 judging examples are about 760 of them."""

    instructions: int = 3200
    rankings: int = 760


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Numbers that stand for data which is not there yet."""

    lengths: Range = Range(0.3, 0.7)
    """Answers' mean length, as a share of `maxTokens`. Measured with SmolLM2: 0.36 to 0.70."""
    prompt_tokens: int = 100
    """Mean length of a prompt. In the measured runs about 90."""
    new_prompt_tokens: int = 40
    """Mean length of a prompt that a model writes."""
    accepted: Range = Range(1.0, 0.4)
    """Share of the prompts that a model writes which the filters let through; the low estimate takes all."""
    paired: Range = Range(0.6, 1.0)
    """Share of the prompts whose candidates make a pair. Measured: 0.97."""
    answers_ranked: float = 2.85
    """Ranked answers of a prompt (paper)."""
    agreeing: Range = Range(0.2, 0.6)
    """Share of the judged answers that become judging examples. The paper's: 1,630 of about 1,600 prompts' answers."""
    seeds: Seeds = field(default_factory=Seeds)
