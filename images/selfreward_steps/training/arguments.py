"""TRL's arguments made from the run's settings; a value that TRL would silently ignore or choose is refused here.

The traps it closes: TRL disables dropout in DPO, trains in bfloat16 and with
gradient checkpointing unless told otherwise, hides NaN losses in its logs, and its schedule has no floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from transformers.integrations import get_available_reporting_integrations
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from trl import DPOConfig, SFTConfig

from selfreward_steps.contract import DpoLoss, DpoSettings, Precision, TrainingSettings
from selfreward_steps.errors import PermanentError
from selfreward_steps.training.batches import BatchPlan

SMOOTHED_LOSSES: Final = frozenset({DpoLoss.ROBUST, DpoLoss.EXO_PAIR, DpoLoss.AOT, DpoLoss.AOT_UNPAIRED})
"""Those that honour `label_smoothing`; the others ignore it without a word."""


def in_bfloat16(precision: Precision) -> bool:
    """Whether to compute in bfloat16: `auto` means where the GPU, or without one the CPU, multiplies in it.

    What emulates it does not count: GPUs before Ampere (V100, T4) do, and a CPU that does is slower by far than in
    float32: 7 times forward and 60 times backward on AVX2.
    """
    match precision:
        case Precision.AUTO:
            if torch.cuda.is_available():
                return bool(torch.cuda.is_bf16_supported(including_emulation=False))
            return _cpu_multiplies_in_bfloat16()
        case Precision.BF16:
            return True
        case Precision.FP32:
            return False


def _cpu_multiplies_in_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def sft_arguments(settings: TrainingSettings, batches: BatchPlan, common: dict[str, Any]) -> SFTConfig:
    """Arguments of SFTTrainer; the data is prompt-completion, so the loss is on completion tokens only."""
    return SFTConfig(**_arguments(settings, batches, common), completion_only_loss=True, packing=False)


def dpo_arguments(settings: DpoSettings, batches: BatchPlan, common: dict[str, Any], *, precompute: bool) -> DPOConfig:
    """Arguments of DPOTrainer; raises PermanentError BadLoss for a loss that TRL would refuse or half ignore."""
    _check_loss(settings)
    return DPOConfig(
        **_arguments(settings, batches, common),
        beta=settings.beta,
        loss_type=[settings.loss_type.value, *(each.type.value for each in settings.additional_losses)],
        loss_weights=[1.0, *(each.weight for each in settings.additional_losses)],
        label_smoothing=settings.label_smoothing,
        disable_dropout=False,
        precompute_ref_log_probs=precompute,
    )


def common_arguments(
    folder: Path, *, seed: int, report_to: Sequence[str], run_name: str, sharded: bool, max_length: int
) -> dict[str, Any]:
    """What does not come from the settings. Raises PermanentError BadTracker for a tracker that is not there."""
    _check_trackers(report_to)
    return {
        "output_dir": str(folder),
        "seed": seed,
        "report_to": list(report_to) or "none",
        "run_name": run_name,
        "max_length": max_length,
        # FSDP2 (transformers' default version), fully sharded: parameters, gradients and optimiser states.
        "fsdp": True if sharded else None,
        "fsdp_config": {"state_dict_type": "SHARDED_STATE_DICT"} if sharded else None,
    }


def _arguments(settings: TrainingSettings, batches: BatchPlan, common: dict[str, Any]) -> dict[str, Any]:
    if settings.min_learning_rate > settings.learning_rate:
        raise PermanentError(
            "BadLearningRate",
            f"settings.minLearningRate: {settings.min_learning_rate:g} is above settings.learningRate "
            f"{settings.learning_rate:g}, and the cosine ends there: lower it",
        )
    cuda = torch.cuda.is_available()
    sharded = common["fsdp"] is not None
    fsdp_config = common["fsdp_config"]
    if sharded and settings.gradient_checkpointing:
        # transformers wants FSDP's own kind then.
        fsdp_config = {**fsdp_config, "activation_checkpointing": True}
    return {
        **common,
        "fsdp_config": fsdp_config,
        "per_device_train_batch_size": batches.per_device,
        "per_device_eval_batch_size": batches.per_device,
        "gradient_accumulation_steps": batches.accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr": settings.min_learning_rate},
        "warmup_steps": settings.warmup_ratio,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "bf16": in_bfloat16(settings.precision),
        "gradient_checkpointing": settings.gradient_checkpointing and not sharded,
        "use_cpu": not cuda,
        "dataloader_pin_memory": cuda,
        "save_strategy": "steps",
        "save_steps": settings.checkpoint_steps,
        # Every step, unfiltered: a loss of NaN must be seen in the step that has it.
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
    }


def _check_loss(settings: DpoSettings) -> None:
    def bad(message: str) -> PermanentError:
        return PermanentError("BadLoss", message)

    added = [each.type for each in settings.additional_losses]
    if len({settings.loss_type, *added}) <= len(added):
        raise bad("settings.additionalLosses: names a loss that is there already: give each once, with its weight")
    if settings.label_smoothing and SMOOTHED_LOSSES.isdisjoint([settings.loss_type, *added]):
        raise bad(
            f"settings.labelSmoothing: {settings.label_smoothing:g} has no effect on lossType "
            f"{settings.loss_type.value!r}: set it to 0, or use one of {', '.join(sorted(SMOOTHED_LOSSES))}"
        )
    if DpoLoss.EXO_PAIR in (settings.loss_type, *added) and not settings.label_smoothing:
        raise bad("settings.labelSmoothing: lossType 'exo_pair' needs one above 0; its paper uses 0.001")


def _check_trackers(report_to: Sequence[str]) -> None:
    available = get_available_reporting_integrations()
    for name in report_to:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise PermanentError("BadTracker", f"reportTo: {name!r} is not a tracker: use one of {known}")
        if name not in available:
            raise PermanentError(
                "BadTracker", f"reportTo: {name!r}: its Python package is not installed in the trainer image: add it"
            )
