"""DPO's implicit rewards, measured after the training on the weights that are exported.

What TRL logs on the way is measured in training mode: with dropout it is mostly noise (on an H200, a model that moves
held-out pairs apart by 0.100 logged -3.98), and it is of weights that are rounded before anybody uses them. So the
numbers that status, gate, report and card take come from one more pass, in evaluation mode.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch
from datasets import Dataset

TRAINED: Final = "trained"
HELD_OUT: Final = "held_out"
"""Names of the two samples that are measured."""
MEASURED: Final = 256
"""Pairs measured at most, of both samples together."""
_HELD_OUT_SHARE: Final = 20
"""One pair in so many is held out at most."""
_FEWEST_HELD_OUT: Final = 16
"""Fewer say nothing, and small data needs them for training: then none is held out."""


@dataclass(frozen=True)
class Split:
    """Pairs to train on, and the samples to measure on, by name."""

    train: Dataset
    measured: Mapping[str, Dataset]


def split(pairs: Dataset, held_out: int) -> Split:
    """Hold out up to `held_out` pairs, at most a twentieth; the rest is trained on, and a sample of it measured.

    Chosen by a hash of the prompt: the pairs of one prompt stay together, and a prompt that comes back in a later
    iteration is held out again.
    """
    order = sorted((_hash(prompt), index) for index, prompt in enumerate(pairs["prompt"]))
    limit = min(held_out, len(order) // _HELD_OUT_SHARE)
    if limit < _FEWEST_HELD_OUT:
        limit = 0
    while limit > 0 and order[limit - 1][0] == order[limit][0]:
        limit -= 1
    held, rest = ([index for _, index in part] for part in (order[:limit], order[limit:]))
    samples = {TRAINED: pairs.select(sorted(rest[: MEASURED - len(held)]))}
    if held:
        samples[HELD_OUT] = pairs.select(sorted(held))
    return Split(pairs.select(sorted(rest)), samples)


def _hash(prompt: Any) -> str:
    return hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest()


class RewardMeter:
    """Implicit rewards of a trainer's model on its evaluation samples, in evaluation mode.

    The reference is measured when this is made, while it is still there: with adapters it is the model without them.
    Every method is collective.
    """

    def __init__(self, trainer: Any, beta: float, tick: Callable[[], None]) -> None:
        self._trainer = trainer
        self._beta = beta
        self._tick = tick
        self._reference = self._each_sample(reference_log_probabilities)

    def metrics(self) -> dict[str, float]:
        """Mean rewards, margins and accuracies of the model as it is now; those of held-out pairs begin `held_out_`."""
        found: dict[str, float] = {}
        for name, policy in self._each_sample(log_probabilities).items():
            rewards = self._beta * (policy - self._reference[name])
            chosen, rejected = rewards.unbind(1)
            prefix = "" if name == TRAINED else f"{name}_"
            found |= {
                f"{prefix}reward_margin": float((chosen - rejected).mean()),
                f"{prefix}reward_accuracy": float((chosen > rejected).double().mean()),
                f"{prefix}reward_chosen": float(chosen.mean()),
                f"{prefix}reward_rejected": float(rejected.mean()),
                f"{prefix}measured_pairs": float(len(rewards)),
            }
        return found

    def _each_sample(self, measure: Callable[[Any, Any], torch.Tensor]) -> dict[str, torch.Tensor]:
        trainer = self._trainer
        trainer.model.eval()
        found = {}
        for name in trainer.eval_dataset:
            parts = []
            for batch in trainer.get_eval_dataloader(name):
                self._tick()
                parts.append(trainer.accelerator.gather_for_metrics(measure(trainer, batch)).double().cpu())
            found[name] = torch.cat(parts)
        return found


def reference_log_probabilities(trainer: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Those of the reference, of both answers of each pair, (pairs, 2): precomputed, of its own model, or of the
    trained one with its adapters off."""
    if "ref_chosen_logps" in batch:
        return torch.stack([batch["ref_chosen_logps"], batch["ref_rejected_logps"]], dim=1)
    if trainer.ref_model is not None:
        return _summed(trainer, trainer.ref_model, batch)
    return _summed(trainer, trainer.model, batch, trainer.accelerator.unwrap_model(trainer.model).disable_adapter())


def log_probabilities(trainer: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Those of the model as it is now."""
    return _summed(trainer, trainer.model, batch)


def _summed(
    trainer: Any,
    model: Any,
    batch: Mapping[str, torch.Tensor],
    adapters: AbstractContextManager[Any] | None = None,
) -> torch.Tensor:
    """Log-probabilities of the chosen and the rejected answers, (pairs, 2), in the trainer's own arithmetic."""
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    with torch.no_grad(), trainer.accelerator.autocast(), adapters or nullcontext():
        # TRL's patched forward: log-probabilities of the labels, without the logits of a whole vocabulary.
        outputs = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            labels=labels,
            use_cache=False,
            fused_lm_head=True,
        )
    chosen, rejected = outputs.log_probs.sum(dim=1).chunk(2)
    return torch.stack([chosen, rejected], dim=1)
