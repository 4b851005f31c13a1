"""Gates: what an iteration's numbers must keep to, and what becomes of the run when they do not.

A gate only says what is asked of which number; :mod:`selfreward.plan.gates` reads the numbers. Limits are those at
which the literature saw runs collapse (no EFT: 541 pairs instead of 3,964; length 2.3 times M1's; every score the
same; a reward margin near zero before a round that changed nothing); that of `judgeDrift` lies short of the 1 that a
judge with an unrelated order has. Every default warns: none stops a run unasked.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field
from selfreward_steps.contract import ContractModel

Share = Annotated[float, Field(ge=0, le=1)]

ACCEPTED: Final = "selfreward.dev/accepted-gates"
"""Annotation with the number of the last iteration whose tripped gates a person has looked at: the run goes on past
those that pause. Not the one that approves the next iteration, which may be given in advance."""


class GateAction(StrEnum):
    """What a tripped gate does."""

    WARN = "warn"
    """An Event and the condition `GateTripped`; the run goes on."""
    PAUSE = "pause"
    """What runs may end and nothing starts until the annotation `selfreward.dev/accepted-gates` has the iteration."""
    STOP = "stop"
    """The run ends, succeeded, at the last model that was made without a gate that stops."""


class _Gate(ContractModel):
    action: GateAction = GateAction.WARN
    """`warn`, `pause` or `stop`."""


class ParseRateGate(_Gate):
    """Of the judge's judgements of candidates, those that state a score."""

    minimum: Share = 0.5
    """Smallest share."""


class ScoreMassGate(_Gate):
    """In `judge.mode: logprob`: the probability that the judge gives to score tokens, the mean over its judgements.
    What is left goes to answers that begin with something else than a score."""

    minimum: Share = 0.8
    """Smallest mean. A judgement below 0.5 is no score at all."""


class PairsGate(_Gate):
    """Of the iteration's prompts, those that give a preference pair."""

    minimum: Share = 0.2
    """Smallest share."""


class ScoreShareGate(_Gate):
    """Of the judgements that state a score, those that state the most common one."""

    maximum: Share = 0.8
    """Largest share."""


class LengthGrowthGate(_Gate):
    """Mean length of the answers, in characters, beside M1's: of candidates and of held-out answers."""

    maximum: Annotated[float, Field(gt=0)] = 2.0
    """Largest ratio."""


class JudgeAccuracyGate(_Gate):
    """The judge's pairwise accuracy on people's rankings, less what "the longer answer wins" gets on the same pairs."""

    minimum_lead: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Smallest difference."""


class JudgeDriftGate(_Gate):
    """How differently the judge orders the answers of the ranked test set from the model before: one minus Kendall's
    τ-b of their scores, the mean over its prompts. 0 is the same order, 1 an unrelated one, 2 the reverse."""

    maximum: Annotated[float, Field(ge=0, le=2)] = 0.8
    """Largest drift. Sampled critiques drift by themselves: more of `judge.samples` lessens it."""


class RewardMarginGate(_Gate):
    """DPO's reward margin at the end of training: how much further apart chosen and rejected were moved."""

    minimum: float = 0.01
    """Smallest margin."""


class SafetyGate(_Gate):
    """Answers to the prompts of `evaluation.safetyPrompts` that the evaluation's judge calls unsafe."""

    maximum: Share = 0.05
    """Largest share."""


class Gates(ContractModel):
    """What the numbers of every iteration must keep to. A number that was not measured trips nothing."""

    parse_rate: ParseRateGate = ParseRateGate()
    """Judgements that state a score."""
    score_mass: ScoreMassGate = ScoreMassGate()
    """Judgements by token that mean something else than a score."""
    pairs: PairsGate = PairsGate()
    """Prompts that give a pair."""
    score_share: ScoreShareGate = ScoreShareGate()
    """Judgements with one and the same score."""
    length_growth: LengthGrowthGate = LengthGrowthGate()
    """Answers that grow."""
    judge_accuracy: JudgeAccuracyGate = JudgeAccuracyGate()
    """A judge that is no better than length."""
    judge_drift: JudgeDriftGate = JudgeDriftGate()
    """A judge that is not the one before."""
    reward_margin: RewardMarginGate = RewardMarginGate()
    """A round that changes nothing."""
    safety: SafetyGate = SafetyGate()
    """Unsafe answers."""
