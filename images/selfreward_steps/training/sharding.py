"""Fully sharded training (FSDP2) as accelerate sets it up, with two of its choices corrected."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.distributed.fsdp import MixedPrecisionPolicy


def keep_outputs_exact(args: Any) -> None:
    """Under bfloat16, compute in it, but leave results and gradient sums in float32.

    accelerate (1.15) would cast the model's outputs too, which here are log-probabilities: a sum of -600 is then
    rounded to a multiple of 4, and DPO's margins, differences of such sums, to noise. Seen: the first loss, which
    must be log 2, came out as 0.6426, and with adapters most rewards as exactly 0.
    """
    if args.bf16 and args.fsdp_plugin_args is not None:
        args.fsdp_plugin_args["mixed_precision_policy"] = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32, output_dtype=None
        )


def allow_on_cpu() -> None:
    """Let accelerate shard over gloo processes on CPUs, as it does over GPUs.

    FSDP2 itself works on both; accelerate (1.15) takes its plugin for GPUs only and falls back to data parallelism
    on CPUs without a word. Called after TrainingArguments, which set up the processes, and before the trainer,
    which reads this.
    """
    state = PartialState()
    if not torch.cuda.is_available() and state.distributed_type is DistributedType.MULTI_CPU:
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
