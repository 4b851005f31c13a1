"""Forward passes that took more memory than the GPU had, noted in the step's journal for its next attempt.

An attempt's number says nothing of that: attempts end for many reasons, and most of them ask for no smaller batch.
"""

from __future__ import annotations

import sys

from selfreward_steps.contract import TrainingSettings
from selfreward_steps.errors import InfrastructureError, StepFailed
from selfreward_steps.store import Store

_EXAMPLES = "examplesPerPass"
_PROCESSES = "processes"
_WORDS = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""How CUDA's libraries say it, not all of them with an exception of its own."""


def is_overrun(error: RuntimeError) -> bool:
    """Whether a GPU's memory did not suffice."""
    return any(word in str(error) for word in _WORDS)


class Overruns:
    """What earlier attempts at one output noted, and a place for this one's note."""

    def __init__(self, store: Store, output: str, inputs_digest: str, processes: int) -> None:
        self._store = store
        self._output = output
        self._inputs_digest = inputs_digest
        self._processes = processes

    def limit(self) -> int | None:
        """Half of the fewest examples a forward pass that were too many; None where none were.

        Of other numbers of processes nothing is taken: there the model leaves each GPU another share of its memory.
        """
        with self._store.journal(self._output, inputs_digest=self._inputs_digest) as journal:
            too_many = [
                int(str(record[_EXAMPLES])) for record in journal.records() if record.get(_PROCESSES) == self._processes
            ]
        return max(1, min(too_many) // 2) if too_many else None

    def note(self, examples: int) -> None:
        """Tell the next attempt that so many were too many. A store out of reach costs it another try with as many."""
        try:
            with self._store.journal(self._output, inputs_digest=self._inputs_digest) as journal:
                journal.append({_EXAMPLES: examples, _PROCESSES: self._processes})
        except InfrastructureError as error:
            print(f"not noted for the next attempt ({error})", file=sys.stderr)

    def discard(self) -> None:
        """Remove all notes: for when the output is committed."""
        self._store.journal(self._output, inputs_digest=self._inputs_digest).discard()

    def failure(self, field: str, settings: TrainingSettings, examples: int) -> StepFailed:
        """The failure of an attempt that took so many examples a forward pass, noted where the next may take fewer;
        `field` is where the user has set the `settings`."""
        if examples == 1:
            remedies = "gradientCheckpointing: true, lora, a smaller maxLength, or more GPUs"
            message = f"{field}: one example a forward pass does not fit into the GPU: {remedies} would help"
        elif settings.per_device_batch_size is not None:
            told = "lower it, or leave it out: then as many are taken as fit, and half as many if these were too many"
            message = f"{field}.perDeviceBatchSize: {examples} examples a forward pass do not fit into the GPU: {told}"
        else:
            self.note(examples)
            message = f"{examples} examples a forward pass do not fit into the GPU: the next attempt takes half as many"
        return StepFailed("OutOfMemory", message)
