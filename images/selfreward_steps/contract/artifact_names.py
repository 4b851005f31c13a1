"""Names of a run's artifacts in its store.

The control plane plans them, the steps read and commit them: both sides compute the same names, so they are typed
here and nowhere else. What a name may be made of is the store's business (:mod:`selfreward_steps.store.names`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

BASE_MODEL: Final = "m0"
"""The base model as it was imported."""
SEED: Final = "seed"
"""The user's training data: instructions, ranked answers, judging examples, prompts."""
EFT: Final = "eft"
"""Judging examples to train on, and the ranked answers that every judge is tested with."""
SFT_BASELINE: Final = "sft-baseline"
"""M0 fine-tuned on instructions alone: the paper's baseline."""
JUDGE_MODEL: Final = "judge-model"
"""The weights of `judge.source`."""
JUDGE_TEMPLATE: Final = "judge-template"
"""The text of a judge template that stands in a ConfigMap or a file."""
EVALUATION_JUDGE: Final = "evaluation-judge"
"""The weights of `evaluation.judge.source`."""
EVALUATION_DATA: Final = "evaluation-data"
"""The data that the user brings to the evaluation."""
_EVALUATIONS: Final = "evaluation/"
BASELINE_EVALUATION: Final = f"{_EVALUATIONS}{SFT_BASELINE}"
"""What was measured of the SFT baseline, and its answers, which M1's are compared with."""


_CHECKPOINT: Final = "-checkpoint-"


class IterationArtifact(StrEnum):
    """What one self-reward iteration commits beside its model, each under the iteration's folder."""

    PROMPTS = "prompts"
    RESPONSES = "responses"
    JUDGEMENTS = "judgements"
    ANCHORS = "anchors"
    """M1's answers to the iteration's prompts, for `preferences.rejected: anchored`."""
    ANCHOR_JUDGEMENTS = "anchor-judgements"
    PAIRS = "pairs"
    VALIDATION = "validation"
    """Prompts that no pair is made of, to compare checkpoints on."""


def model(number: int) -> str:
    """The artifact of M_number: `m2`."""
    return f"m{number}"


def of_iteration(number: int, kind: IterationArtifact) -> str:
    """An artifact of one iteration: `iteration-1/pairs`."""
    return f"iteration-{number}/{kind}"


def evaluation(number: int) -> str:
    """What was measured of M_number: `evaluation/m2`."""
    return f"{_EVALUATIONS}{model(number)}"


def is_evaluation(artifact: str) -> bool:
    """Whether the artifact is a whole evaluation of one of the run's models, and not only the answers for one, or what
    M1 is compared with."""
    return artifact.startswith(_EVALUATIONS) and artifact != BASELINE_EVALUATION


def answers(number: int) -> str:
    """What M_number says in its evaluation, where another model compares it: `answers/m2`."""
    return f"answers/{model(number)}"


def published(number: int) -> str:
    """What a hub was given with M_number: `published/m2`."""
    return f"published/{model(number)}"


def checkpoint(number: int, index: int) -> str:
    """One of the models that M_number is chosen from: `m2-checkpoint-1`."""
    return f"{model(number)}{_CHECKPOINT}{index}"


def checkpoint_answers(number: int, index: int) -> str:
    """What that one says to the validation prompts: `answers/m2-checkpoint-1`."""
    return f"answers/{checkpoint(number, index)}"


def is_of_checkpoint(artifact: str) -> bool:
    """Whether the artifact is a checkpoint to choose from, or its answers."""
    return _CHECKPOINT in artifact


def shard_name(index: int) -> str:
    """The last part of a shard's name: `shard-00003`."""
    return f"shard-{index:05d}"


def shard(folder: str, index: int) -> str:
    """One shard of a sharded artifact: `iteration-1/responses` and 3 give `iteration-1/responses/shard-00003`."""
    return f"{folder}/{shard_name(index)}"


def shards(artifact: str, count: int | None) -> list[str]:
    """Every shard of an artifact, in order; the artifact itself when it has none."""
    return [artifact] if count is None else [shard(artifact, index) for index in range(count)]
