"""Snapshots of a training: the models at evenly spaced steps before its end, from which a round's model is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from selfreward_steps.errors import PermanentError


def snapshot_steps(count: int, steps: int) -> dict[int, int]:
    """The number of each of `count` snapshots, from 1, by the step after which it is taken; the end is not among them.

    Raises PermanentError TooFewSteps where the training has no step for each.
    """
    if steps <= count:
        raise PermanentError(
            "TooFewSteps",
            f"training.dpo.selection.checkpoints: {count + 1} checkpoints of a training of {steps} steps: "
            "choose from fewer, or train on more pairs",
        )
    return {round(number * steps / (count + 1)): number for number in range(1, count + 1)}


class Snapshots(TrainerCallback):  # type: ignore[misc]
    """Has each snapshot taken. Collective: every rank takes it after the same step."""

    def __init__(self, count: int, take: Callable[[int], None]) -> None:
        """`take` is called with the snapshot's number, from 1."""
        self._count = count
        self._take = take
        self._due: dict[int, int] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._due = snapshot_steps(self._count, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        number = self._due.get(state.global_step)
        if number is not None:
            self._take(number)
