"""The typed model of a report: frozen data, every number as the artifact states it.

What a run has not reached, or an earlier version of a step did not write, is None or empty, never zero: a report of
half a run must not show a judge that is right in 0% of pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from selfreward.api import Phase, StepState
from selfreward.report.texts.model import Excerpt


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its confidence interval (95%, over prompts), where the step gave one."""

    value: float
    low: float | None = None
    high: float | None = None
    count: float | None = None
    """What it was counted over: pairs, answers or prompts."""


@dataclass(frozen=True, slots=True)
class JudgeQuality:
    """How a model's judgements of ranked answers agree with people's (paper, section 3.2)."""

    prompts: int | None
    parse_rate: float | None
    measures: Mapping[str, Estimate]
    """By the name that `metrics.json` gives them: `pairwise_accuracy`, `spearman`, …"""

    @property
    def accuracy(self) -> Estimate | None:
        return self.measures.get("pairwise_accuracy")

    @property
    def longest_wins(self) -> Estimate | None:
        """What preferring the longer answer would get on the same pairs."""
        return self.measures.get("pairwise_accuracy_longest_wins")

    @property
    def length_balanced(self) -> Estimate | None:
        """Accuracy where length decides nothing; length alone gets one half."""
        return self.measures.get("pairwise_accuracy_length_balanced")


@dataclass(frozen=True, slots=True)
class HeadToHead:
    """A model's answers against another's, in both orders; a disagreement of the orders is a tie."""

    against: str
    """`M1`, `M2`, `SFT baseline`, or what the run calls outside answers."""
    prompts: int | None
    win: Estimate | None
    tie: Estimate | None
    loss: Estimate | None
    position_bias: Estimate | None = None
    """How often the judge only chose a place: the first of two, or the second."""
    p_value: float | None = None
    """Of the sign test of wins against losses; None where nothing was decided, or by an earlier version."""
    section: str = ""
    """The part of `metrics.json` that tells of it."""


@dataclass(frozen=True, slots=True)
class TaskScore:
    """A model's score on a task of lm-eval."""

    estimate: Estimate
    """With lm-eval's own standard error for its interval."""
    higher_is_better: bool | None
    """None where lm-eval does not say."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a histogram: the score it stands at and how often it was given."""

    score: float
    count: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Scores by how often the judge gave them; `width` is None when each score has its own bar."""

    bars: tuple[Bar, ...]
    width: float | None = None

    @property
    def total(self) -> int:
        return sum(bar.count for bar in self.bars)


@dataclass(frozen=True, slots=True)
class IterationReport:
    """One self-reward round: what was judged, what became of it."""

    number: int
    counts: Mapping[str, float]
    """Every plain number of `statistics.json` by its name (`pairs`, `parse_rate`, `mean_margin`, …), and DPO's own
    (`dpo_reward_margin`; near zero, the round changed nothing)."""
    dropped: Mapping[str, int]
    """Prompts without a pair, by reason."""
    scores: Histogram | None

    def count(self, name: str) -> float | None:
        return self.counts.get(name)


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step of the graph and what it cost."""

    key: str
    iteration: int
    state: StepState
    attempt: int
    seconds: float | None
    """How long the attempt that counts ran; None before it started."""
    gpu_seconds: float | None
    """GPUs it holds, its server's included, times the time it held them; None before it started."""
    tokens: float | None
    """Completion tokens that its server wrote for it."""
    metrics: Mapping[str, float]
    words: str
    """What it did, or why it waits or failed, in a line."""
    after: tuple[str, ...] = ()
    """Keys of the steps that it waits for."""


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model, M_number: how it was made and what it is worth."""

    number: int
    artifact: str
    digest: str | None
    """None while it is not committed."""
    made_by: tuple[StepReport, ...]
    """The steps on the way from the model before."""
    title: str = ""
    """Its name, where it is none of the chain M0, M1, …"""
    judge: JudgeQuality | None = None
    head_to_heads: tuple[HeadToHead, ...] = ()
    answer_chars: Estimate | None = None
    """Mean length of its answers to the held-out prompts, in characters."""
    answers_truncated: float | None = None
    """How many of them were cut off at `evaluation.sampling.maxTokens`."""
    seen_prompts: float | None = None
    """How many rows of its evaluation were left out, since training has seen their prompts."""
    unsafe: Estimate | None = None
    """Share of its answers to the user's safety prompts that the judge calls unsafe."""
    tasks: Mapping[str, TaskScore] = field(default_factory=dict)
    """Its scores on lm-eval's tasks, by `TASK/METRIC`."""
    training: tuple[Mapping[str, float], ...] = ()
    """Its training's own numbers (`step`, `loss`, `reward_margin`, …), a point an optimiser step."""

    @property
    def name(self) -> str:
        return self.title or f"M{self.number}"

    def against(self, other: str) -> HeadToHead | None:
        """The comparison with the model of that name."""
        return next((each for each in self.head_to_heads if each.against == other), None)


@dataclass(frozen=True, slots=True)
class GateReport:
    """What one gate says of one step's numbers."""

    iteration: int
    name: str
    """As `spec.gates` writes it: `judgeAccuracy`."""
    step: str
    value: str
    """The number that was measured, in words."""
    limit: str
    """`at least 20%`, `at most 2`."""
    state: str
    """`kept`, `tripped`, or `accepted`: tripped, and somebody lets the run go on."""
    action: str
    """What tripping does: `warn`, `pause`, `stop`."""
    message: str
    """What is wrong; empty where the limit is kept to."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything that a report says of one run."""

    name: str
    namespace: str
    phase: Phase
    headline: str
    """The state of the run in one sentence."""
    base_model: str
    iterations_asked: int
    started_at: datetime | None
    finished_at: datetime | None
    models: tuple[ModelReport, ...]
    iterations: tuple[IterationReport, ...]
    steps: tuple[StepReport, ...]
    spec: str
    """The spec as YAML, without what is at its default."""
    artifacts: str
    """URI of the run's folder in the store."""
    baseline: ModelReport | None = None
    """The SFT baseline, where it was evaluated; M1's answers are compared with its."""
    notices: tuple[str, ...] = ()
    """What the reader must know: artifacts that could not be read, gates that spoke."""
    gates: tuple[GateReport, ...] = ()
    """What has been measured against a limit so far, in the graph's order."""
    excerpt: Excerpt = field(default_factory=Excerpt)

    @property
    def evaluated(self) -> tuple[ModelReport, ...]:
        """The models that may have been measured: the SFT baseline, then the chain."""
        return self.models if self.baseline is None else (self.baseline, *self.models)

    @property
    def newest(self) -> ModelReport | None:
        """The last model that is committed."""
        return next((model for model in reversed(self.models) if model.digest is not None), None)
