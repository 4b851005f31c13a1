"""The two methods of training, each by what differs: its TRL arguments, its trainer, its numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol

from datasets import Dataset
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from selfreward_steps.contract import FULL_BYTES, WEIGHT_BYTES, DpoSettings, TrainingSettings
from selfreward_steps.errors import PermanentError
from selfreward_steps.training.arguments import dpo_arguments, sft_arguments
from selfreward_steps.training.batches import BatchPlan, ByLength
from selfreward_steps.training.consistency import (
    CANDIDATES,
    ConsistencyTrainer,
    Judged,
    consistencies,
    couples,
    keep_consistent,
)
from selfreward_steps.training.models import lora_config, without_dropout_when_disabled
from selfreward_steps.training.ranks import Ranks
from selfreward_steps.training.rewards import RewardMeter, Split, split
from selfreward_steps.training.sharding import load_for

_LOGGED: Final = {"loss": "loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}


@dataclass(frozen=True)
class Setup:
    """The model, data and arguments that a trainer is made from."""

    args: Any
    model: Any
    data: Split
    tokenizer: Any
    callbacks: Sequence[Any]
    fetch: Callable[[str], Path]
    """The local folder of a role's artifact. Collective."""
    ranks: Ranks
    tick: Callable[[], None] = lambda: None
    """Told of each batch that is measured."""


class Method(Protocol):
    """A method of training: what SFT and DPO each do their own way."""

    name: ClassVar[Literal["sft", "dpo"]]
    logged: ClassVar[Mapping[str, str]]
    """TRL's log entries by our name: what progress lines and the training's curve hold."""
    metrics: ClassVar[Collection[str]]
    """Those of them, by our name, whose means over the last steps become the step's metrics."""
    sequences: ClassVar[int]
    """Sequences an example."""

    @property
    def settings(self) -> TrainingSettings: ...

    def bytes_per_parameter(self, ranks: Ranks) -> int:
        """Bytes that a parameter takes from the first step to the last, over all processes."""

    def data(self, examples: Dataset) -> Split: ...

    def meter(self, trainer: Any, tick: Callable[[], None]) -> RewardMeter | None: ...

    def arguments(self, batches: BatchPlan, common: dict[str, Any], ranks: Ranks) -> Any: ...

    def trainer(self, setup: Setup) -> Any: ...


class SupervisedTrainer(ByLength, SFTTrainer):  # type: ignore[misc]
    """TRL's, with examples of like lengths in a forward pass."""

    sequences = 1


class PreferenceTrainer(ByLength, DPOTrainer):  # type: ignore[misc]
    """TRL's, with pairs of like lengths in a forward pass."""

    sequences = 2


@dataclass(frozen=True)
class Supervised:
    """Supervised fine-tuning on prompt-completion examples, by TRL's SFTTrainer."""

    settings: TrainingSettings
    name: ClassVar[Literal["sft", "dpo"]] = "sft"
    logged: ClassVar[Mapping[str, str]] = {**_LOGGED, "token_accuracy": "mean_token_accuracy"}
    metrics: ClassVar[Collection[str]] = ("loss", "token_accuracy")
    sequences: ClassVar[int] = SupervisedTrainer.sequences

    def bytes_per_parameter(self, ranks: Ranks) -> int:
        return _trained_bytes(self.settings)

    def data(self, examples: Dataset) -> Split:
        return Split(examples, {})

    def meter(self, trainer: Any, tick: Callable[[], None]) -> None:
        return None

    def arguments(self, batches: BatchPlan, common: dict[str, Any], ranks: Ranks) -> SFTConfig:
        return sft_arguments(self.settings, batches, common)

    def trainer(self, setup: Setup) -> SFTTrainer:
        return _made(
            self.settings,
            lambda adapters: SupervisedTrainer(
                model=setup.model,
                args=setup.args,
                train_dataset=setup.data.train,
                processing_class=setup.tokenizer,
                callbacks=list(setup.callbacks),
                peft_config=adapters,
            ),
        )


@dataclass(frozen=True)
class Preference:
    """DPO on preference pairs, against the artifact of role `reference`."""

    settings: DpoSettings
    own_reference: bool
    """Whether the reference is the model that training starts from."""
    min_consistency: float | None = None
    """Least agreement of the judge's order with the implicit reward's that a pair needs (`preferences`)."""
    name: ClassVar[Literal["sft", "dpo"]] = "dpo"
    logged: ClassVar[Mapping[str, str]] = {
        **_LOGGED,
        "reward_margin": "rewards/margins",
        "reward_accuracy": "rewards/accuracies",
    }
    metrics: ClassVar[Collection[str]] = ("loss",)
    sequences: ClassVar[int] = PreferenceTrainer.sequences

    def bytes_per_parameter(self, ranks: Ranks) -> int:
        alone = self.precomputes(ranks) or self._starts_as_reference(ranks)
        return _trained_bytes(self.settings) + (0 if alone else WEIGHT_BYTES)

    def data(self, examples: Dataset) -> Split:
        return split(examples, self.settings.held_out_pairs)

    def meter(self, trainer: Any, tick: Callable[[], None]) -> RewardMeter:
        return RewardMeter(trainer, self.settings.beta, tick)

    def arguments(self, batches: BatchPlan, common: dict[str, Any], ranks: Ranks) -> DPOConfig:
        return dpo_arguments(self.settings, batches, common, precompute=self.precomputes(ranks))

    def precomputes(self, ranks: Ranks) -> bool:
        """TRL hands precomputed log-probabilities from rank 0 to the others in a file, which needs one node."""
        return self.settings.precompute_ref_log_probs and ranks.nodes == 1

    def trainer(self, setup: Setup) -> DPOTrainer:
        reference = None
        if not self._starts_as_reference(setup.ranks):
            reference = load_for(setup.ranks, setup.fetch("reference"))
        train, measured = setup.data.train, dict(setup.data.measured)
        judged = self._judged(train)
        if judged is not None:
            measured[CANDIDATES] = couples(train["prompt"], judged)
        weighs = judged is not None and self.settings.consistency_weighted
        kind = ConsistencyTrainer if weighs else PreferenceTrainer
        trainer = _made(
            self.settings,
            lambda adapters: kind(
                model=setup.model,
                ref_model=reference,
                args=setup.args,
                train_dataset=train,
                eval_dataset=measured,
                processing_class=setup.tokenizer,
                callbacks=list(setup.callbacks),
                peft_config=adapters,
            ),
        )
        if judged is not None:
            found = consistencies(trainer, judged, setup.tick)
            trainer.measured = keep_consistent(trainer, found, self.min_consistency)
            trainer.consistency = trainer.measured.get("consistency_weight", 1.0)
        if self.precomputes(setup.ranks):
            # It has been measured: leave its memory to the training.
            trainer.ref_model = None
        elif reference is None:
            without_dropout_when_disabled(trainer.model)
        return trainer

    def _judged(self, train: Dataset) -> list[Judged] | None:
        """The candidates of every pair where there is an implicit reward to compare their scores with: where training
        starts from its reference, nothing has been taught since."""
        if self.own_reference or CANDIDATES not in train.column_names:
            return None
        return list(train[CANDIDATES])

    def _starts_as_reference(self, ranks: Ranks) -> bool:
        """Whether the model itself can stand in for the reference, which saves loading it a second time.

        Either untrained, before the training (precomputed; TRL cannot do it with a model that is to be sharded), or
        with its adapters off.
        """
        if not self.own_reference:
            return False
        if self.precomputes(ranks):
            return ranks.world == 1
        return self.settings.lora is not None


def _trained_bytes(settings: TrainingSettings) -> int:
    return FULL_BYTES if settings.lora is None else WEIGHT_BYTES


def _made(settings: TrainingSettings, make: Callable[[Any], Any]) -> Any:
    try:
        return make(None if settings.lora is None else lora_config(settings.lora))
    except ValueError as error:
        # peft and TRL raise bare ValueErrors; the one a user can cause is a module name that is not there.
        if settings.lora is None or not ("arget modules" in str(error) or "target_modules" in str(error)):
            raise
        modules = ", ".join(settings.lora.target_modules)
        raise PermanentError(
            "BadLoraModules",
            f"settings.lora.targetModules: {modules}: {error}: use `all-linear` or the model's own names",
        ) from error
