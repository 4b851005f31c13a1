"""The work that takes time: requests to a server, and passes over examples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Generation:
    """Requests to one server."""

    calls: int = 0
    prompt_tokens: float = 0
    """As sent; each request's once, however many samples it asks for."""
    read_tokens: float = 0
    """Of these, what the server computes: a beginning that requests share is in its cache."""
    answer_tokens: float = 0
    samples: int = 0
    """Answers: sequences that are decoded."""
    shards: int = 1
    """Parts that run one after the other."""

    def __add__(self, other: Generation) -> Generation:
        return Generation(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.read_tokens + other.read_tokens,
            self.answer_tokens + other.answer_tokens,
            self.samples + other.samples,
            max(self.shards, other.shards),
        )

    def one_shard(self) -> Generation:
        """One of its parts."""
        count = self.shards
        return Generation(
            -(-self.calls // count),
            self.prompt_tokens / count,
            self.read_tokens / count,
            self.answer_tokens / count,
            -(-self.samples // count),
        )


@dataclass(frozen=True, slots=True)
class Training:
    """Passes over examples."""

    examples: int = 0
    tokens: float = 0
    """Of all examples, once; a pair has two sequences."""
    passes: float = 0
    """Forward passes of each token, a backward pass counted as two."""
    measured_tokens: float = 0
    """Tokens that are measured after the training."""
    steps: int = 0

    @property
    def token_passes(self) -> float:
        """All passes over tokens; what is measured is passed twice, once by the reference."""
        return self.tokens * self.passes + 2 * self.measured_tokens


@dataclass(frozen=True, slots=True)
class Work:
    """What one step does."""

    generation: Generation = Generation()
    training: Training = Training()
