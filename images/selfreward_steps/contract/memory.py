"""How much memory a model takes on the GPUs that it is given, told before anything is loaded.

The control plane knows the GPUs and what is to be done, the import how many parameters there are: each limit is the
arithmetic that is left once both are known, so that whoever does it says the same. So it is with what a training keeps
of a batch and with the server's cache: the plan, the server's command line and the training reckon them alike.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

from pydantic import Field

from selfreward_steps.contract.base import ContractModel, PositiveInt
from selfreward_steps.contract.shape import ModelShape

WEIGHT_BYTES: Final = 4
"""Bytes of a parameter that is trained or kept beside it: float32, whatever is computed in."""
FULL_BYTES: Final = 16
"""Bytes of a parameter in full fine-tuning: weight 4, gradient 4, Adam's moments 8."""
_GIB: Final = 1 << 30
ENGINE_BYTES: Final = 1 * _GIB
"""Of an engine's share of a GPU, what is neither weights nor cache: graphs and the largest activations (measured: 0.65
to 1.05 GiB)."""
_COMPUTED: Final = 2
"""Bytes of a weight in the format that is computed in, a copy that lasts from a forward pass to its backward."""
_FOR_BATCHES: Final = 0.8
"""Of the memory that a training's states leave, what a batch of its longest examples may take: what is reckoned was
once 6 % too little, and torch holds some that it does not use."""
_LEAST_SHARE: Final = 0.92
_MOST_SHARE: Final = 0.97
_OUTSIDE: Final = 4 << 30
"""Bytes of a GPU that a server leaves to the driver, to CUDA graphs and to what is fragmented."""
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


def saved_bytes_per_token(shape: ModelShape, *, halves: bool, checkpointing: bool) -> float:
    """Bytes that a forward pass keeps of each token for its backward.

    Measured with torch's own accounting of what autograd saves of a Llama, per token and layer: under bfloat16
    (`halves`) 30 bytes a channel, 4.5 a channel of keys, 8 a channel of the feed-forward part; in float32 32, 8.4 and
    16. Checkpointing keeps a layer's input in float32, and all of one layer at a time. There are no logits in it: TRL
    1.16 computes log-probabilities in tiles.
    """
    hidden, keys, inner = (30.0, 4.5, 8.0) if halves else (32.0, 8.4, 16.0)
    layer = hidden * shape.hidden + keys * shape.key_value + inner * shape.inner
    return shape.layers * WEIGHT_BYTES * shape.hidden + layer if checkpointing else shape.layers * layer


def states_bytes(shape: ModelShape, bytes_per_parameter: float, *, processes: int, halves: bool) -> float:
    """Bytes that a training holds of each GPU whatever its batch: its states, spread over the processes, and a copy of
    the weights in what is computed in. Sharded, those of one layer and of the next are gathered at a time."""
    gathered = shape.parameters if processes == 1 else 2 * shape.parameters / shape.layers
    copy = 0.0 if not halves and processes == 1 else _COMPUTED * gathered
    return shape.parameters * bytes_per_parameter / processes + copy


def examples_that_fit(room: float, states: float, bytes_per_example: float) -> int:
    """Examples of a forward pass that a GPU with `room` bytes takes beside a training's `states`; at least 1."""
    return max(1, int((room - states) * _FOR_BATCHES / bytes_per_example))


def even_examples(share: int, limit: int) -> int:
    """Examples of a forward pass: the most within the limit that divide a process's `share` of the batch evenly."""
    return max(size for size in range(1, min(share, limit) + 1) if share % size == 0)


def served_share(gpu_bytes: float, engines: int = 1) -> float:
    """The share of a GPU's memory that each of a server's engines on it takes: together all but what others need of it,
    which grows with the engines and not with the GPU."""
    return min(_MOST_SHARE, max(_LEAST_SHARE, 1 - engines * _OUTSIDE / gpu_bytes)) / engines


def cache_tokens(gpu_bytes: float, gpus: int, weight_bytes: float, bytes_per_token: float, share: float) -> float:
    """Tokens that the cache of keys and values holds of an engine that takes this share of its GPUs' memory; 0 where
    the weights leave no room."""
    room = (gpu_bytes * share - ENGINE_BYTES) * gpus - weight_bytes
    return max(0.0, room) / bytes_per_token
