"""The shape of a model: what of its configuration its memory and its time hang on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

PARAMETERS: Final = "parameters"
CACHE_BYTES_PER_TOKEN: Final = "cache_bytes_per_token"
"""Metrics of the import's: the base model's weights, and bytes of one token in its server's cache."""
_LLAMA_LIKE: Final = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Architectures with the parts that :func:`parameters_of_config` counts."""
_SIZES: Final = ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size")
_OPTIONAL_SIZES: Final = ("head_dim", "num_key_value_heads")
_BYTES: Final = 2
"""Of a number in bfloat16, as weights are stored and keys and values are kept."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A decoder's sizes."""

    parameters: int
    layers: int
    hidden: int
    """Channels of the residual stream."""
    inner: int
    """Channels of the feed-forward part."""
    key_value: int
    """Channels of a layer's keys, and as many of its values: heads that have their own, times a head's channels."""

    @property
    def weight_bytes(self) -> int:
        """The weights as they are stored and served."""
        return self.parameters * _BYTES

    @property
    def cache_bytes_per_token(self) -> int:
        """Keys and values of one token in the server's cache."""
        return 2 * self.layers * self.key_value * _BYTES


def shape_of(config: Mapping[str, Any], parameters: int | None = None) -> ModelShape | None:
    """The shape that a `config.json` describes; `parameters` where the weights tell. None where neither says, and for
    an architecture that names its sizes otherwise, or has others in each layer."""
    text = config.get("text_config") or config
    count = parameters or parameters_of_config(text)
    sizes = [text.get(name) for name in _SIZES]
    sizes += [text[name] for name in _OPTIONAL_SIZES if text.get(name) is not None]
    if count is None or not all(isinstance(size, int) and size > 0 for size in sizes):
        return None
    hidden, heads = text["hidden_size"], text["num_attention_heads"]
    size = text.get("head_dim") or hidden // heads
    return ModelShape(
        parameters=count,
        layers=text["num_hidden_layers"],
        hidden=hidden,
        inner=text["intermediate_size"],
        key_value=size * (text.get("num_key_value_heads") or heads),
    )


def parameters_of_config(config: Mapping[str, Any]) -> int | None:
    """What a configuration of a decoder in Llama's manner makes; None for another's."""
    kind = config.get("model_type")
    if kind not in _LLAMA_LIKE or config.get("attention_bias") or config.get("mlp_bias"):
        return None
    hidden, layers, inner = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    pairs = config.get("num_key_value_heads") or heads
    size = config.get("head_dim") or hidden // heads
    attention = 2 * hidden * size * (heads + pairs)
    if kind == "qwen2":
        attention += size * (heads + 2 * pairs)
    if kind == "qwen3":
        attention += 2 * size
    embeddings = config["vocab_size"] * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return int(embeddings + layers * (attention + 3 * hidden * inner + 2 * hidden) + hidden)
