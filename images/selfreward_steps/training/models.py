"""Models to train and to compare with, as they are loaded, and the two changes made to them: dropout and adapters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.initialization import no_init_weights
from transformers.integrations.liger import apply_liger_kernel
from transformers.utils import is_liger_kernel_available

from selfreward_steps.contract import LoraSettings
from selfreward_steps.errors import PermanentError

DROPOUT_FIELDS: Final = (
    "activation_dropout",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "attn_pdrop",
    "dropout",
    "embd_pdrop",
    "embedding_dropout",
    "hidden_dropout",
    "hidden_dropout_prob",
    "resid_dropout",
    "resid_pdrop",
)
"""What architectures call the dropout of attention, hidden states and embeddings. Llama has attention's alone."""

FUSED: Final = frozenset(
    {"gemma2", "gemma3_text", "gpt_oss", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3"}
)
"""Architectures whose norms, rotations and gated layers run as Liger's fused kernels on a GPU: those where losses and
gradients were found to stay as they are (benchmarks/gpu/fused.py)."""


def load_tokenizer(folder: Path) -> Any:
    """The model's tokenizer. Raises PermanentError ModelUnreadable."""
    with _readable(folder):
        return AutoTokenizer.from_pretrained(folder)


def load_config(folder: Path) -> Any:
    """The model's configuration, without its weights. Raises PermanentError ModelUnreadable."""
    with _readable(folder):
        return AutoConfig.from_pretrained(folder)


def load_model(folder: Path, *, dropout: float = 0.0, weights: bool = True) -> Any:
    """The weights, in evaluation mode, on the CPU, with `dropout` in every field its architecture has.

    float32 also where the computation is in bfloat16: an update of 1e-6 is lost in bfloat16 weights. Without `weights`
    the model has room for them that is never written, and so takes no memory, until sharding fills each rank's part
    (sharding.py).
    """
    config = load_config(folder)
    set_dropout(config, dropout)
    with _readable(folder):
        if weights:
            model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32)
        else:
            model = _without_weights(config)
    # TRL writes into it and checkpoints save it, where an imported one that transformers finds inconsistent would
    # be an error. The artifact gets the imported file back (export.py).
    model.generation_config = GenerationConfig()
    _quicken(model)
    return model


def _quicken(model: Any) -> None:
    """Choose the kernels that train it soonest; what it computes stays the same.

    TRL pads on the right, where a causal model's answers see nothing of the padding, and its loss leaves it out. So the
    mask changes no number, but attention with one is not for flash kernels. cuDNN's would take it, and spends a
    quarter of a second on each length it has not met (torch 2.11), as long as such a step of a small model takes.
    """
    model.register_forward_pre_hook(_without_mask, with_kwargs=True)
    torch.backends.cuda.enable_cudnn_sdp(False)
    if torch.cuda.is_available() and model.config.model_type in FUSED and is_liger_kernel_available():
        # Not its losses: TRL has a fused head of its own, which they would replace.
        apply_liger_kernel(model, {"cross_entropy": False, "fused_linear_cross_entropy": False})


def _without_mask(model: Any, arguments: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return arguments, {name: value for name, value in named.items() if name != "attention_mask"}


def _without_weights(config: Any) -> Any:
    # Not on the meta device: accelerate (1.15) finds an optimiser's parameters by their addresses, which are 0 there.
    with no_init_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.tie_weights()
    return model.eval()


def set_dropout(config: Any, dropout: float) -> tuple[str, ...]:
    """Set every dropout field that `config` has; returns their names. `dropout` 0 switches them off."""
    text = config.get_text_config()
    found = tuple(name for name in DROPOUT_FIELDS if isinstance(getattr(text, name, None), int | float))
    for name in found:
        setattr(text, name, dropout)
    return found


def lora_config(settings: LoraSettings) -> LoraConfig:
    """peft's LoRA configuration, made from the run's settings."""
    modules = "all-linear" if settings.target_modules == ["all-linear"] else settings.target_modules
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=modules,
    )


def without_dropout_when_disabled(model: Any) -> None:
    """Make a peft model's adapter-off forwards, which are DPO's reference, run in evaluation mode.

    TRL runs them in the mode of the training step, so the reference would be measured through dropout.
    """
    disable = model.disable_adapter

    @contextmanager
    def disabled() -> Iterator[None]:
        training = model.training
        with disable():
            model.eval()
            try:
                yield
            finally:
                model.train(training)

    model.disable_adapter = disabled


def end_tokens(folder: Path, tokenizer: Any) -> frozenset[int]:
    """The tokens that end generation: the generation configuration's and the tokenizer's."""
    path = folder / "generation_config.json"
    stated = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.exists() else None
    ids = stated if isinstance(stated, list) else [stated]
    return frozenset(each for each in (*ids, tokenizer.eos_token_id) if each is not None)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            # The disk's fault, not the model's.
            raise
        reason = " ".join(str(error).split())[:300]
        raise PermanentError(
            "ModelUnreadable", f"{folder}: transformers cannot open the model ({reason}): use another as model.uri"
        ) from error
