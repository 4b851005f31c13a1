"""From a trained, possibly sharded model to an artifact that `from_pretrained` and the serving open.

The artifact is the input model's folder with new weights: tokenizer, chat template, generation settings and
configuration are its own files, so that nothing changes between iterations but what training changed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

import torch
from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

from selfreward_steps.errors import PermanentError
from selfreward_steps.training.models import load_model, lora_config

MAX_SHARD: Final = "4GB"
"""Largest weights file: several are fetched in parallel."""
_REPLACED: Final = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.bin",
    "*.bin.index.json",
    "README.md",
    "manifest.json",
)


def gather(trainer: Any) -> dict[str, torch.Tensor]:
    """The whole state on rank 0's CPU; empty on the others. Collective."""
    state: dict[str, torch.Tensor] = trainer.accelerator.get_state_dict(trainer.model)
    return state


def write_model(
    state: dict[str, torch.Tensor], source: Path, folder: Path, *, dtype: torch.dtype, adapters: Any = None
) -> None:
    """Write the artifact's folder from the gathered `state` of a model that came from `source`.

    `adapters` are the LoRA settings whose adapters are in `state`: they are merged into the source's weights, in
    float32, before anything is rounded to `dtype`. Raises PermanentError WeightsNotFinite.
    """
    model = load_model(source)
    if adapters is not None:
        wrapped = get_peft_model(model, lora_config(adapters))
        set_peft_model_state_dict(wrapped, get_peft_model_state_dict(wrapped, state_dict=state))
        model = wrapped.merge_and_unload()
    else:
        model.load_state_dict(state, assign=True)
        model.tie_weights()
    _check_finite(model)
    shutil.rmtree(folder, ignore_errors=True)
    model.to(dtype).save_pretrained(folder, max_shard_size=MAX_SHARD)
    (folder / "generation_config.json").unlink(missing_ok=True)
    _copy_other_files(source, folder, dtype)


def _copy_other_files(source: Path, folder: Path, dtype: torch.dtype) -> None:
    for path in (each for each in sorted(source.rglob("*")) if each.is_file()):
        if not any(path.match(pattern) for pattern in _REPLACED):
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            # Contents only: a folder store's files are read-only.
            shutil.copyfile(path, target)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    config["dtype"] = str(dtype).removeprefix("torch.")
    path.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_finite(model: Any) -> None:
    broken = [name for name, weight in model.named_parameters() if not bool(torch.isfinite(weight).all())]
    if broken:
        raise PermanentError(
            "WeightsNotFinite",
            f"{len(broken)} weights are not finite after training, {broken[0]} first: lower settings.learningRate",
        )
