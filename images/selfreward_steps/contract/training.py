"""The settings of SFT and DPO (paper section 3.1). Defaults are the paper's where it states them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from selfreward_steps.contract.base import ContractModel, Fraction, PositiveInt

TRAINING_CURVE: Final = "training.jsonl"
"""The file of a trained model's artifact with the training's own numbers, a line an optimiser step."""

SELECTION: Final = "selection.json"
"""The file of a model that was chosen among checkpoints, with what it won and lost."""


class LoraSettings(ContractModel):
    """Low-rank adapters instead of full fine-tuning; merged into the weights when training ends."""

    rank: PositiveInt = 16
    """r."""
    alpha: PositiveInt = 32
    """Scaling numerator."""
    dropout: Fraction = 0.05
    """Dropout before the adapters."""
    target_modules: list[str] = ["all-linear"]
    """Modules that get adapters; `all-linear` means every linear layer."""


class Precision(StrEnum):
    """Number formats that a model can be trained in."""

    AUTO = "auto"
    """bfloat16 where the GPU (or, without one, the CPU) multiplies in it, else float32."""
    BF16 = "bf16"
    FP32 = "fp32"


class Rounding(StrEnum):
    """How trained weights become bfloat16 in the artifact."""

    STOCHASTIC = "stochastic"
    """Up or down at random, each neighbour as likely as it is near, so that small updates are kept on average."""
    NEAREST = "nearest"
    """To the nearest: an update below a 256th of its weight is lost."""


EXAMPLES_UNMEASURED: Final = 4
"""Examples a forward pass where neither the settings nor a GPU's memory say how many."""


class TrainingSettings(ContractModel):
    """What SFT and DPO share (paper section 3.1)."""

    learning_rate: Annotated[float, Field(gt=0)]
    """Peak learning rate."""
    min_learning_rate: Annotated[float, Field(ge=0)]
    """Where the cosine ends."""
    batch_size: PositiveInt = 16
    """Examples an optimiser step, over all GPUs and nodes."""
    per_device_batch_size: PositiveInt | None = None
    """Examples a forward pass on one GPU; the rest is gradient accumulation. Absent: as many as its memory takes."""
    epochs: Annotated[float, Field(gt=0)] = 1
    """Passes over the data. The paper does not state its number."""
    max_steps: PositiveInt | None = None
    """Stop after this many optimiser steps."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout of attention, hidden states and embeddings, where the architecture has them."""
    max_length: PositiveInt = 2048
    """Longest example, in tokens."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0
    """Share of the steps in which the rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0
    """AdamW's."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradient clipping."""
    precision: Precision = Precision.AUTO
    """`auto`, `bf16` or `fp32`."""
    rounding: Rounding = Rounding.STOCHASTIC
    """How the artifact's weights are rounded where they are bfloat16: `stochastic` (seeded) or `nearest`."""
    gradient_checkpointing: bool = False
    """Trade time for memory."""
    checkpoint_steps: PositiveInt = 200
    """A resumable checkpoint goes to the store every so many steps (the paper: 200)."""
    lora: LoraSettings | None = None
    """Train adapters; absent means full fine-tuning."""

    @property
    def learns_by_pass(self) -> bool:
        """Whether what is learnt hangs on how many examples share a forward pass, which memory must not choose then."""
        return False


class SftSettings(TrainingSettings):
    """Supervised fine-tuning: 5.5e-6 → 1.1e-6 cosine, batch 16, dropout 0.1."""

    learning_rate: Annotated[float, Field(gt=0)] = 5.5e-6
    """Peak learning rate."""
    min_learning_rate: Annotated[float, Field(ge=0)] = 1.1e-6
    """Where the cosine ends."""


class ReferenceModel(StrEnum):
    """Reference models of DPO, from which the policy is kept near."""

    PREVIOUS = "previous"
    """The model the iteration starts from."""
    INITIAL = "initial"
    """M1 throughout."""


class DpoLoss(StrEnum):
    """TRL's DPO losses."""

    SIGMOID = "sigmoid"
    SIGMOID_NORM = "sigmoid_norm"
    HINGE = "hinge"
    IPO = "ipo"
    EXO_PAIR = "exo_pair"
    NCA_PAIR = "nca_pair"
    ROBUST = "robust"
    BCO_PAIR = "bco_pair"
    SPPO_HARD = "sppo_hard"
    AOT = "aot"
    AOT_UNPAIRED = "aot_unpaired"
    APO_ZERO = "apo_zero"
    APO_DOWN = "apo_down"
    DISCOPOP = "discopop"
    SFT = "sft"


_OF_A_PASS: Final = frozenset({DpoLoss.AOT, DpoLoss.AOT_UNPAIRED, DpoLoss.SFT})
"""Losses that TRL takes over all examples of a forward pass together."""


class AdditionalLoss(ContractModel):
    """A loss that is added to the main one."""

    type: DpoLoss
    """One of TRL's; `sft` is the chosen answers' negative log-likelihood."""
    weight: Annotated[float, Field(gt=0)] = 1
    """Its weight; the main loss has 1."""


class CheckpointSelection(ContractModel):
    """The choice of a round's model among checkpoints of its training, by pairwise wins on prompts that no pair is made
    of (paper, section 3.1)."""

    checkpoints: Annotated[int, Field(ge=2, le=8)] = 3
    """How many there are to choose from: the end of the training, and as many before it as lie evenly. Each is a whole
    model in the store and a server's start."""
    prompts: PositiveInt = 253
    """Prompts to compare on (the paper: 253). So many more are written each round, or taken from `prompts.source`."""


class DpoSettings(TrainingSettings):
    """Direct preference optimisation: 1e-6 → 1e-7 cosine, batch 16, beta 0.1."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    """Peak learning rate."""
    min_learning_rate: Annotated[float, Field(ge=0)] = 1e-7
    """Where the cosine ends."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0
    """Dropout of attention, hidden states and embeddings. The paper's is 0.1; it drowns the margin of a small update in
    noise and weighs pairs by their lengths, since the reference has none, so the field trains without."""
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Strength of the pull towards the reference model."""
    loss_type: DpoLoss = DpoLoss.SIGMOID
    """One of TRL's DPO losses."""
    additional_losses: Annotated[list[AdditionalLoss], Field(max_length=4)] = []
    """Losses to add to `lossType`, each with its weight: `sft` at 1 is Iterative RPO's (arXiv 2404.19733)."""
    consistency_weighted: bool = False
    """Weigh each pair by C and its reverse by 1 − C, where C is how far the judge's order of candidates agrees with
    that of their implicit rewards (CREAM, arXiv 2410.12735): the mean of (τ + 1) / 2 over the round's prompts. For
    `lossType: sigmoid`, with `referenceModel: initial`."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0
    """For the losses that have it: `robust`, `exo_pair`, `aot` and `aot_unpaired`."""
    reference_model: ReferenceModel = ReferenceModel.PREVIOUS
    """`previous` (standard) or `initial`."""
    held_out_pairs: Annotated[int, Field(ge=0)] = 128
    """Pairs that are measured but not trained on; at most a twentieth, and none of fewer than 320 pairs."""
    selection: CheckpointSelection | None = None
    """Choose the model among checkpoints by pairwise wins, judged by the round's judge; absent, the end is taken."""
    precompute_ref_log_probs: bool = False
    """Compute the reference's log-probabilities first, so that it leaves the GPU."""

    @property
    def learns_by_pass(self) -> bool:
        return not _OF_A_PASS.isdisjoint({self.loss_type, *(each.type for each in self.additional_losses)})
