"""The hardware that a run is estimated on: GPUs by name, as data sheets have them, and how many there are.

Only the H200 was measured; what others do follows from their data sheets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from selfreward.api import Keeping
from selfreward.render.memory import GPU_PRODUCT_LABEL, labelled_bytes

TERA: Final = 10**12


@dataclass(frozen=True, slots=True)
class Gpu:
    """One kind of GPU."""

    product: str
    """Its name on a node's label, which tells the memory."""
    flops: float
    """Dense bfloat16 operations a second, without sparsity."""
    bandwidth: float
    """Bytes a second of its memory."""

    @property
    def memory(self) -> int:
        """Bytes."""
        found = labelled_bytes({GPU_PRODUCT_LABEL: self.product})
        assert found is not None, self.product
        return found


GPUS: Final[Mapping[str, Gpu]] = MappingProxyType(
    {
        "b200": Gpu("B200", 2250 * TERA, 8.0 * TERA),
        "h200": Gpu("H200", 989 * TERA, 4.8 * TERA),
        "h100": Gpu("H100", 989 * TERA, 3.35 * TERA),
        "h100-nvl": Gpu("H100-NVL", 835 * TERA, 3.9 * TERA),
        "a100-80g": Gpu("A100-SXM4-80GB", 312 * TERA, 2.04 * TERA),
        "a100-40g": Gpu("A100-SXM4-40GB", 312 * TERA, 1.55 * TERA),
        "l40s": Gpu("L40S", 362 * TERA, 0.864 * TERA),
        "l40": Gpu("L40", 181 * TERA, 0.864 * TERA),
        "a6000": Gpu("RTX-A6000", 155 * TERA, 0.768 * TERA),
        "l4": Gpu("L4", 121 * TERA, 0.3 * TERA),
        "a10": Gpu("A10", 125 * TERA, 0.6 * TERA),
        "rtx4090": Gpu("RTX-4090", 165 * TERA, 1.008 * TERA),
    }
)
"""By the names that `--gpu` takes."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a run has."""

    gpu: Gpu
    gpus: int
    """How many there are for all of the run."""
    keeping: Keeping = Keeping.ASLEEP
    """What becomes of an engine while training has its turn: without one that is kept, each model's is started anew."""


def gpu_named(product: str) -> str | None:
    """The name in :data:`GPUS` of what the driver or a node's label calls a product; the longest that fits."""
    words = product.lower().replace(" ", "-")
    fitting = [name for name, gpu in GPUS.items() if all(part in words for part in gpu.product.lower().split("-"))]
    fitting += [name for name in GPUS if name in words.split("-")]
    return max(fitting, key=lambda name: len(GPUS[name].product), default=None)
