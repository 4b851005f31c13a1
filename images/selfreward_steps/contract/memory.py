"""How much memory a model takes on the GPUs that it is given, told before anything is loaded.

The control plane knows the GPUs and what is to be done, the import how many parameters there are: each limit is the
arithmetic that is left once both are known, so that whoever does it says the same.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

from pydantic import Field

from selfreward_steps.contract.base import ContractModel, PositiveInt

_GIB: Final = 1 << 30
_USABLE: Final = 0.9
"""Of a GPU's memory, what is left for weights and states at best: activations and buffers need some too."""


class Remedy(ContractModel):
    """A change of the spec, and what a parameter takes after it."""

    words: str
    """The field and its value."""
    bytes_per_parameter: Annotated[float, Field(gt=0)]
    """Over all processes together."""


class MemoryLimit(ContractModel):
    """What one use of the model takes, and what there is for it."""

    field: str
    """The spec's field that asks for it, such as `training.dpo`."""
    use: str
    """What takes the memory."""
    bytes_per_parameter: Annotated[float, Field(gt=0)]
    """Over all processes together, which share it evenly."""
    gpu_bytes: PositiveInt
    """Memory of each GPU."""
    processes: PositiveInt = 1
    """GPUs that share it."""
    more: str
    """The field that gives it more GPUs."""
    remedies: list[Remedy] = []

    def refusal(self, parameters: int) -> str | None:
        """One line that says why a model of so many parameters cannot fit, and what would; None when it may."""
        each = parameters * self.bytes_per_parameter / self.processes
        if each <= self.gpu_bytes:
            return None
        room = self.gpu_bytes * _USABLE
        fitting = [
            f"{remedy.words} ({_gib(parameters * remedy.bytes_per_parameter / self.processes)})"
            for remedy in self.remedies
            if parameters * remedy.bytes_per_parameter / self.processes <= room
        ]
        # Heads and batches are split in powers of two.
        gpus = 1 << math.ceil(math.log2(parameters * self.bytes_per_parameter / room))
        each_of_more = _gib(parameters * self.bytes_per_parameter / gpus)
        fitting.append(f"{gpus} GPUs by {self.more} ({each_of_more} on each)")
        return (
            f"{self.field}: {parameters / 1e9:.1f} billion parameters take {_gib(each)} on each GPU before the first "
            f"activation ({self.use}), and it has {_gib(self.gpu_bytes)}: {' or '.join(fitting)} would fit"
        )


def _gib(count: float) -> str:
    return f"{count / _GIB:,.0f} GiB"
