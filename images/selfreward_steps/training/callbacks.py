"""Callbacks between a training's steps: reporting progress, watching the loss, keeping checkpoints.

All of them run on every rank, in the same order, since keeping a checkpoint is collective.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.errors import PermanentError
from selfreward_steps.training.checkpoints import Uploader
from selfreward_steps.training.interruption import Interruption
from selfreward_steps.training.ranks import Council


class Telling(TrainerCallback):  # type: ignore[misc]
    """Each step's numbers as a progress line; `names` gives TRL's log entries by our name."""

    def __init__(self, progress: ProgressReporter, names: Mapping[str, str]) -> None:
        self._progress = progress
        self._names = names

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._progress.update(state.global_step, state.max_steps, "steps")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        entries = logs or {}
        known = {name: float(entries[key]) for name, key in self._names.items() if key in entries}
        self._progress.update(state.global_step, state.max_steps, "steps", **known)


class LossWatch(TrainerCallback):  # type: ignore[misc]
    """Stops at once when the loss or the gradient is no number: every later step would only spread it.

    The logged loss is the mean over all ranks, so all of them stop. It comes before the step's checkpoint, so none
    is ever kept of a broken model.
    """

    def __init__(self, step_name: str, peak: float) -> None:
        self._step_name = step_name
        self._peak = peak

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                what = f"{name} became {value} at step {state.global_step} of {state.max_steps}"
                raise loss_not_finite(self._step_name, self._peak, what)


def loss_not_finite(step_name: str, peak: float, what: str) -> PermanentError:
    """Permanent: the same data in the same order at the same rate ends the same way again."""
    return PermanentError(
        "LossNotFinite",
        f"{step_name}: {what}; settings.learningRate is {peak:g}: lower it (a tenth is a good try), raise "
        "warmupRatio, or set precision to fp32",
    )


class Checkpointing(TrainerCallback):  # type: ignore[misc]
    """Hands each checkpoint to the uploader, and makes one when the process is told to stop."""

    def __init__(self, uploader: Uploader, council: Council, interruption: Interruption) -> None:
        self._uploader = uploader
        self._council = council
        self._interruption = interruption
        self.stopped = False
        """Whether the training ended because it was told to."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps:
            # The model itself follows.
            control.should_save = False
        elif self._council.any(self._interruption.received):
            self.stopped = control.should_save = control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        # Every rank's files are there only now.
        self._council.wait()
        if self._council.ranks.first_of_node:
            self._uploader.finish()
            # Named anew, so that nothing of transformers (its rotation of old checkpoints) can find it.
            taken = folder.with_name(f"uploading-{state.global_step}")
            shutil.rmtree(taken, ignore_errors=True)
            folder.rename(taken)
            self._uploader.submit(state.global_step, taken)
