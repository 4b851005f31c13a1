"""Shapes of models, as a configuration, a size or nothing tells them."""

from __future__ import annotations

from typing import Any

import pytest
from selfreward.estimate.shape import typical
from selfreward_steps.contract import ModelShape, shape_of

LLAMA_8B: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}


def test_of_a_configuration() -> None:
    assert shape_of(LLAMA_8B) == ModelShape(8_030_261_248, 32, 4096, 14336, 1024)
    assert shape_of({"text_config": LLAMA_8B}) == shape_of(LLAMA_8B)


def test_another_architecture_has_the_shape_that_its_weights_allow() -> None:
    other = {**LLAMA_8B, "model_type": "other"}
    assert shape_of(other) is None
    assert shape_of(other, 9_000) == ModelShape(9_000, 32, 4096, 14336, 1024)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param({"intermediate_size": [16384, 8192]}, id="other sizes in each layer"),
        pytest.param({"num_key_value_heads": [8, 4]}, id="other heads in each layer"),
        pytest.param({"num_attention_heads": 0}, id="no attention"),
        pytest.param({"num_attention_heads": None}, id="heads unknown"),
    ],
)
def test_sizes_that_are_not_one_number_make_no_shape(sizes: dict[str, Any]) -> None:
    assert shape_of({**LLAMA_8B, **sizes}, 9_000) is None


def test_keys_and_values_take_what_vllm_says() -> None:
    # 128 KiB a token of Llama 3 8B.
    shape = shape_of(LLAMA_8B)
    assert shape is not None
    assert shape.cache_bytes_per_token == 131_072


@pytest.mark.parametrize(("billions", "layers", "hidden"), [(8, 32, 4096), (70, 80, 8192)])
def test_a_size_alone_is_built_as_llama_is(billions: int, layers: int, hidden: int) -> None:
    shape = typical(billions * 10**9)
    assert shape.parameters == billions * 10**9
    assert (shape.layers, shape.hidden) == (pytest.approx(layers, rel=0.15), pytest.approx(hidden, rel=0.15))
