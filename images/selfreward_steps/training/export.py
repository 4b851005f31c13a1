"""Export of a trained, possibly sharded model as an artifact that `from_pretrained` and servers open, and back.

The artifact is the input model's folder with new weights: tokenizer, chat template, generation settings and
configuration are its own files, so that nothing changes between iterations but what training changed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeVar

import torch
from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.fsdp import FSDPModule

from selfreward_steps.contract import SELECTION, TRAINING_CURVE, LoraSettings, Rounding
from selfreward_steps.errors import PermanentError
from selfreward_steps.store.names import MANIFEST
from selfreward_steps.training.models import load_model, lora_config
from selfreward_steps.training.rounding import round_weights

T = TypeVar("T")

MAX_SHARD: Final = "4GB"
"""Largest weights file: several are fetched in parallel."""
_ADAPTER: Final = ".lora_"
_REPLACED: Final = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.bin",
    "*.bin.index.json",
    "README.md",
    MANIFEST,
    TRAINING_CURVE,
    SELECTION,
)


def gather(trainer: Any) -> dict[str, torch.Tensor]:
    """The whole state on rank 0's CPU; empty on the others. Collective."""
    state: dict[str, torch.Tensor] = trainer.accelerator.get_state_dict(trainer.model)
    return state


def beside(work: Callable[[], T]) -> Future[T]:
    """What `work` will return, begun in a thread that a process which is told to stop does not wait for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def write_model(
    state: dict[str, torch.Tensor],
    source: Path,
    folder: Path,
    *,
    loaded: Any,
    dtype: torch.dtype,
    rounding: Rounding,
    seed: int,
    adapters: LoraSettings | None = None,
) -> dict[str, torch.Tensor]:
    """Write the artifact's folder from the gathered `state` of a model that came from `source`; returns its weights.

    `loaded` is what :func:`load_model` made of `source`: its weights are stored by the names under which it found them.
    `adapters` are the LoRA settings whose adapters are in `state`: they are merged into the source's weights, in
    float32, before anything is rounded to `dtype`; stochastic `rounding` draws from `seed`. Raises PermanentError
    WeightsNotFinite.
    """
    if adapters is not None:
        wrapped = get_peft_model(load_model(source), lora_config(adapters))
        set_peft_model_state_dict(wrapped, get_peft_model_state_dict(wrapped, state_dict=state))
        model = wrapped.merge_and_unload()
    else:
        # Every weight is in the state: reading the source's would take longer than writing these.
        model = load_model(source, weights=False)
        model._weight_conversions = loaded._weight_conversions
        model.load_state_dict(state, assign=True)
        model.tie_weights()
    _check_finite(model)
    if dtype is torch.bfloat16 and rounding is Rounding.STOCHASTIC:
        round_weights(model, seed)
    shutil.rmtree(folder, ignore_errors=True)
    model.to(dtype).save_pretrained(folder, max_shard_size=MAX_SHARD)
    (folder / "generation_config.json").unlink(missing_ok=True)
    _copy_other_files(source, folder, dtype)
    weights: dict[str, torch.Tensor] = model.state_dict()
    return weights


def put_back(trainer: Any, state: dict[str, torch.Tensor], exported: dict[str, torch.Tensor], *, sharded: bool) -> None:
    """Give the trainer's model the exported weights, to measure them. Collective, as :func:`set_weights` is.

    `state` and `exported` are what :func:`gather` and :func:`write_model` returned on rank 0, and empty elsewhere.
    Adapters are in the exported weights already, so they are set to nothing.
    """
    replaced: dict[str, Any] = {
        name: torch.zeros_like(weight) if _ADAPTER in name else exported[_plain_name(name)]
        for name, weight in state.items()
    }
    set_weights(trainer, replaced, sharded=sharded)


def set_weights(trainer: Any, weights: dict[str, Any], *, sharded: bool) -> None:
    """Give the trainer's model the weights that rank 0 has, by the names of its own state. Collective."""
    if sharded:
        for module in trainer.model.modules():
            # The outermost layer stays whole after a forward pass, and what is whole takes no shards.
            if isinstance(module, FSDPModule):
                module.reshard()
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
        set_model_state_dict(trainer.model, weights, options=options)
    else:
        trainer.accelerator.unwrap_model(trainer.model).load_state_dict(weights)


def _plain_name(name: str) -> str:
    """The name of a weight without what peft's wrapping puts around it."""
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".")


def curve(history: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> Iterator[dict[str, float]]:
    """The rows of :data:`TRAINING_CURVE`, from transformers' log `history`; `names` gives its entries by our name."""
    for entry in history:
        if "loss" in entry:
            yield {"step": entry["step"], **{name: float(entry[key]) for name, key in names.items() if key in entry}}


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


def _is_finite(weight: torch.Tensor) -> bool:
    """Whether all of it is. What has a finite sum is, which a CPU says soonest; that of large weights may overflow."""
    return bool(torch.isfinite(weight.sum())) or bool(torch.isfinite(weight).all())


def _check_finite(model: Any) -> None:
    broken = [name for name, weight in model.named_parameters() if not _is_finite(weight)]
    if broken:
        raise PermanentError(
            "WeightsNotFinite",
            f"{len(broken)} weights are not finite after training, {broken[0]} first: lower settings.learningRate",
        )
