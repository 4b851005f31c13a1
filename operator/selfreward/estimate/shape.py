"""The shape of a model of which only its size is known."""

from __future__ import annotations

from typing import Final

from selfreward_steps.contract import ModelShape, parameters_of_config, shape_of

_HEAD: Final = 128
_VOCABULARY: Final = 128_256
"""Channels of a head and tokens of Llama 3, of whose build :func:`typical` is."""


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
