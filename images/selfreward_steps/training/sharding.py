"""Fully sharded training (FSDP2) as accelerate sets it up, with what it and TRL choose otherwise corrected.

Rank 0 alone reads the weights and hands every rank its shards, a tensor at a time: were they read by each rank, 70
billion parameters would take 2.2 TB of host memory on a node of eight.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, fsdp2_prepare_model
from torch.distributed.fsdp import MixedPrecisionPolicy
from trl.trainer import dpo_trainer

from selfreward_steps.training.models import load_model
from selfreward_steps.training.ranks import Ranks


def load_for(ranks: Ranks, folder: Path, *, dropout: float = 0.0) -> Any:
    """The model that this rank gives to the trainer: the weights on rank 0, an equal one without them on the others.

    Where the architecture saves buffers too (biases of a mixture's router), which accelerate (1.15) cannot hand on,
    every rank reads all.
    """
    if ranks.first:
        return load_model(folder, dropout=dropout)
    model = load_model(folder, dropout=dropout, weights=False)
    return load_model(folder, dropout=dropout) if _saved_buffers(model) else model


def hand_on_weights(args: Any, model: Any) -> None:
    """Let the trainer made with `args` give every rank its shards of rank 0's `model`. Called before it is made.

    TRL's own sharding of the reference knows nothing of that: each rank would cut its shards from the weights that it
    does not have. It also cuts the model as one piece, which every forward pass gathers whole on each GPU.
    """
    if args.fsdp_plugin_args is not None:
        args.fsdp_plugin_args["cpu_ram_efficient_loading"] = not _saved_buffers(model)
        dpo_trainer.prepare_fsdp = _shard_as_the_policy


def _shard_as_the_policy(model: Any, accelerator: Any) -> Any:
    return fsdp2_prepare_model(accelerator, model).eval()


def _saved_buffers(model: Any) -> bool:
    return bool(model.state_dict().keys() - dict(model.named_parameters(remove_duplicate=False)).keys())


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
