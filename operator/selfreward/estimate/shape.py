"""The shape of a model: what of its configuration its memory and its time hang on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_LLAMA_LIKE: Final = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Architectures with the parts that :func:`parameters_of_config` counts."""
_HEAD: Final = 128
_VOCABULARY: Final = 128_256
"""Channels of a head and tokens of Llama 3, of whose build :func:`typical` is."""
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
    """The shape that a `config.json` describes; `parameters` where the weights tell. None where neither says."""
    text = config.get("text_config") or config
    count = parameters or parameters_of_config(text)
    if count is None:
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


def typical(parameters: int) -> ModelShape:
    """A Llama of about so many parameters: heads of 128 channels, as many layers as heads, a quarter of the heads with
    keys of their own, a feed-forward part of 3.5 times the width. For a model of which nothing else is known."""

    def count(heads: int) -> int:
        found = parameters_of_config({"model_type": "llama", **_config(heads)})
        assert found is not None
        return found

    heads = min(range(4, 257, 4), key=lambda each: abs(count(each) - parameters))
    shape = shape_of(_config(heads), parameters)
    assert shape is not None
    return shape


def _config(heads: int) -> dict[str, int]:
    hidden = heads * _HEAD
    return {
        "hidden_size": hidden,
        "num_hidden_layers": heads,
        "intermediate_size": hidden * 7 // 2,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 4,
        "vocab_size": _VOCABULARY,
    }


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
