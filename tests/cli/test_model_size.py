"""How large a model is, by what lies on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from selfreward.cli.machine.model_size import parameters_of
from selfreward_steps.contract import ModelSource, parameters_of_config

SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "intermediate_size": 100,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3"])
def test_a_configuration_is_counted_as_transformers_builds_it(kind: str, tied: bool) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **SMALL, tie_word_embeddings=tied, head_dim=16)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert parameters_of_config(config.to_dict()) == sum(each.numel() for each in model.parameters())


def test_the_papers_sizes() -> None:
    llama = {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    }
    assert parameters_of_config(llama) == 8_030_261_248
    assert parameters_of_config({**llama, "model_type": "mamba"}) is None


def safetensors(path: Path, **shapes: list[int]) -> None:
    header = json.dumps(
        {name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
        | {"__metadata__": {"format": "pt"}}
    ).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def of(folder: Path) -> int | None:
    return parameters_of(ModelSource(uri=folder.as_uri()))


def test_weights_are_counted_by_their_headers(tmp_path: Path) -> None:
    safetensors(tmp_path / "model.safetensors", a=[10, 10], b=[7])
    assert of(tmp_path) == 107


def test_only_what_the_index_names_counts(tmp_path: Path) -> None:
    safetensors(tmp_path / "model-1.safetensors", a=[10])
    safetensors(tmp_path / "consolidated.safetensors", a=[10])
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}')
    assert of(tmp_path) == 10


def test_a_configuration_tells_where_weights_are_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **SMALL}))
    assert of(tmp_path) == parameters_of_config({"model_type": "llama", **SMALL})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_type": "llama"}', "\xff"])
def test_what_is_no_model_tells_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    assert of(tmp_path) is None
    (tmp_path / "model.safetensors").write_text(text, encoding="latin-1")
    assert of(tmp_path) is None
    assert of(tmp_path / "nowhere") is None


def test_the_hubs_cache_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--owner--name"
    (folder / "snapshots" / "c0ffee").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("c0ffee")
    safetensors(folder / "snapshots" / "c0ffee" / "model.safetensors", a=[12])
    assert parameters_of(ModelSource(uri="hf://owner/name")) == 12
    assert parameters_of(ModelSource(uri="hf://owner/name", revision="c0ffee")) == 12
    assert parameters_of(ModelSource(uri="hf://owner/name", revision="other")) is None
    assert parameters_of(ModelSource(uri="hf://owner/another")) is None
