"""How much memory the weights of policy and reference take on a rank until both are sharded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_of_loading(model: Path, environment: Mapping[str, str], path: Path) -> None:
    """Load and shard policy and reference as DPO does on one rank of several; write the peaks, in bytes, to `path`.

    `loaded` is the policy's before it is sharded, `sharded` that of both from the beginning to the end.
    """
    os.environ.update(environment)
    from datasets import Dataset
    from selfreward_steps.contract import DpoSettings, Precision
    from selfreward_steps.training import models, sharding
    from selfreward_steps.training.arguments import common_arguments
    from selfreward_steps.training.batches import BatchPlan
    from selfreward_steps.training.ranks import Ranks
    from selfreward_steps.training.rewards import Split
    from selfreward_steps.training.trainers import Preference, Setup

    ranks = Ranks.from_environment()
    method = Preference(DpoSettings(precision=Precision.FP32), own_reference=True)
    common = common_arguments(path.parent, seed=1, report_to=[], run_name="", sharded=True, max_length=64)
    args = method.arguments(BatchPlan.of(2, 1, 2), common, ranks)
    args.device  # noqa: B018 - sets up torch.distributed
    sharding.allow_on_cpu()
    pair = {
        "prompt": [{"role": "user", "content": "Count"}],
        "chosen": [{"role": "assistant", "content": "1 2 3"}],
        "rejected": [{"role": "assistant", "content": "Paris"}],
    }
    split = Split(Dataset.from_list([pair] * 2), {})
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    policy = sharding.load_for(ranks, model)
    sharding.hand_on_weights(args, policy)
    peaks = {"loaded": _peak() - before}
    setup = Setup(args, policy, split, models.load_tokenizer(model), [], lambda role: model, ranks)
    trainer = method.trainer(setup)
    trainer.create_optimizer()
    trainer.accelerator.prepare(trainer.model, trainer.optimizer)
    path.write_text(json.dumps({**peaks, "sharded": _peak() - before}))


def _peak() -> int:
    """The most memory that was resident at once, in bytes."""
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10
