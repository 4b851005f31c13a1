"""How much memory the weights of the policy take on a rank before they are sharded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_of_loading(model: Path, environment: Mapping[str, str], path: Path) -> None:
    """Load the policy as a training does on one rank of several; write the peak, `loaded` in bytes, to `path`."""
    os.environ.update(environment)
    from selfreward_steps.contract import DpoSettings, Precision
    from selfreward_steps.training import sharding
    from selfreward_steps.training.arguments import common_arguments
    from selfreward_steps.training.batches import BatchPlan
    from selfreward_steps.training.ranks import Ranks
    from selfreward_steps.training.trainers import Preference

    ranks = Ranks.from_environment()
    method = Preference(DpoSettings(precision=Precision.FP32), own_reference=True)
    common = common_arguments(path.parent, seed=1, report_to=[], run_name="", sharded=True, max_length=64)
    args = method.arguments(BatchPlan.of(2, 1, 2), common, ranks)
    args.device  # noqa: B018 - sets up torch.distributed
    sharding.allow_on_cpu()
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    policy = sharding.load_for(ranks, model)
    sharding.hand_on_weights(args, policy)
    path.write_text(json.dumps({"loaded": _peak() - before}))


def _peak() -> int:
    """The most memory that was resident at once, in bytes."""
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10
