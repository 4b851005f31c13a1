"""Weights that are not a whole model's: mended where there is one right way, and said; else refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.contract import ModelImport
from selfreward_steps.importing.model import Imported, import_model
from selfreward_steps.importing.sources import Place
from steps.importing.bringing import bring, edit, refusal
from transformers import AutoModelForCausalLM, AutoTokenizer

Weights = dict[str, torch.Tensor]


def change(folder: Path, made: Callable[[Weights], Weights]) -> Weights:
    """Put other weights into the model's file; returns the ones that were there."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file({name: weight.contiguous() for name, weight in made(weights).items()}, path, metadata={"format": "pt"})
    return weights


def shards(folder: Path) -> None:
    """Two shards and no index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for number in (0, 1):
        part = {name: weight for name, weight in weights.items() if ("layers.1." in name) is bool(number)}
        save_file(part, folder / f"model-0000{number + 1}-of-00002.safetensors", metadata={"format": "pt"})


def opened(imported: Imported) -> Weights:
    model, found = AutoModelForCausalLM.from_pretrained(imported.folder, output_loading_info=True)
    assert not any(found.values())
    weights: Weights = model.state_dict()
    return weights


def same(one: Weights, other: Weights) -> bool:
    return all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module.{name}",
        lambda name: f"module._orig_mod.{name}",
        lambda name: f"base_model.model.{name}",
        lambda name: name.replace("layers.0.", "layers.0._orig_mod."),
        lambda name: f"_fsdp_wrapped_module.{name}".replace("mlp.", "mlp._checkpoint_wrapped_module."),
    ],
    ids=["compiled", "parallel", "both", "peft", "one-layer", "fsdp"],
)
def test_wrapped_names_are_unwrapped(tiny: Path, tmp_path: Path, wrap: Callable[[str], str]) -> None:
    weights = change(tiny, lambda found: {wrap(name): weight for name, weight in found.items()})
    before = (tiny / "model.safetensors").read_bytes()
    imported = bring(tiny, tmp_path)
    assert same(opened(imported), weights)
    (said,) = imported.metadata["repaired"]  # type: ignore[misc, union-attr]
    assert str(said).startswith("names of weights unwrapped (")
    assert (tiny / "model.safetensors").read_bytes() == before, "the user's own file is left as it is"
    with safe_open(imported.folder / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_shards_without_an_index_get_one(tiny: Path, tmp_path: Path) -> None:
    weights = load_file(tiny / "model.safetensors")
    shards(tiny)
    imported = bring(tiny, tmp_path)
    assert same(opened(imported), weights)
    assert imported.metadata["repaired"] == ["model.safetensors.index.json written for 2 files"]
    assert not (tiny / "model.safetensors.index.json").exists()


def test_wrapped_shards_are_indexed_by_their_own_names(tiny: Path, tmp_path: Path) -> None:
    weights = change(tiny, lambda found: {f"_orig_mod.{name}": weight for name, weight in found.items()})
    shards(tiny)
    places = {}
    for path in sorted(tiny.glob("*.safetensors")):
        places |= dict.fromkeys(load_file(path), path.name)
    (tiny / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert same(opened(bring(tiny, tmp_path)), weights)


def without(part: str) -> Callable[[Path], object]:
    return lambda folder: change(
        folder, lambda found: {name: weight for name, weight in found.items() if part not in name}
    )


def beside(name: str, weight: torch.Tensor) -> Callable[[Path], object]:
    return lambda folder: change(folder, lambda found: found | {name: weight})


def configured(**fields: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder / "config.json", lambda config: config.update(fields))


def half(folder: Path) -> None:
    shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def twice(folder: Path) -> None:
    change(folder, lambda found: found | {f"_orig_mod.{name}": weight.clone() for name, weight in found.items()})


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (half, "model-00002-of-00002.safetensors: other shards are there, but it is missing: get the folder again"),
        (without("layers.1."), "it lacks 9 weights, the first model.layers.1.input_layernorm.weight"),
        (configured(tie_word_embeddings=False), "it lacks 1 weights, the first lm_head.weight"),
        (without("embed_tokens"), "it lacks 2 weights, the first lm_head.weight"),
        (configured(num_hidden_layers=1), "it has 9 weights that its architecture does not, the first model.layers.1."),
        (beside("model.layers.0.self_attn.q_proj.bias", torch.zeros(32)), "it has 1 weights that its architecture"),
        (configured(vocab_size=500), "1 weights have another size than config.json says, the first model.embed_tokens"),
        (beside("score.weight", torch.zeros(1, 32)), "it has 1 weights that its architecture does not"),
        (twice, "weights of one name are there twice, wrapped and not"),
    ],
    ids=["half", "layer", "head", "embeddings", "pruned", "bias", "size", "reward-head", "twice"],
)  # fmt: skip
def test_weights_that_are_not_the_models(
    tiny: Path, tmp_path: Path, spoil: Callable[[Path], object], expected: str
) -> None:
    spoil(tiny)
    message = refusal(tiny, tmp_path, "BadModelFile")
    assert expected in message, message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["v_head.summary.weight", "model.layers.0.self_attn.rotary_emb.inv_freq"])
def test_what_stands_beside_a_whole_model_is_taken(tiny: Path, tmp_path: Path, name: str) -> None:
    beside(name, torch.zeros(4))(tiny)
    assert bring(tiny, tmp_path).metadata["repaired"] == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"architectures": ["LlamaForSequenceClassification"]}, "it is a classifier or reward model (LlamaForSeq"),
        ({"architectures": ["LlamaForRewardModelWithGating"]}, "it is a classifier or reward model"),
        (
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            "are quantised (bitsandbytes",
        ),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "its weights are quantised (gptq)"),
        ({"quantization_config": {"quant_method": "fp8"}}, "its weights are quantised (fp8), which cannot be trained"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "its weights are quantised (mxfp4)"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "are quantised (compressed-tensors)"),
    ],
)
def test_what_cannot_be_trained(tiny: Path, tmp_path: Path, fields: dict[str, Any], expected: str) -> None:
    configured(**fields)(tiny)
    assert expected in refusal(tiny, tmp_path, "UnsupportedModel")


@pytest.mark.parametrize(("dtype", "kind"), [(torch.float8_e4m3fn, "F8_E4M3"), (torch.int8, "I8")])
def test_quantised_weights_whose_configuration_is_gone(
    tiny: Path, tmp_path: Path, dtype: torch.dtype, kind: str
) -> None:
    change(tiny, lambda found: {n: w.to(dtype) if "mlp" in n else w for n, w in found.items()})
    assert f"its weights are stored as {kind}, which" in refusal(tiny, tmp_path, "UnsupportedModel")


def test_a_judge_that_is_only_asked_may_be_quantised(tiny: Path, tmp_path: Path) -> None:
    configured(quantization_config={"quant_method": "gptq", "bits": 4})(tiny)
    item = ModelImport.model_validate({"source": {"uri": tiny.as_uri()}, "output": "judge-model"})
    place = Place(tmp_path / "scratch", ProgressReporter(enabled=False))
    assert import_model(item, "judge.source", place).metadata["repaired"] == []


def pad_outside(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("configuration", [0, 400], ids=["tokenizer", "configurations-too"])
def test_a_padding_token_outside_the_embeddings_is_taken_out(tiny: Path, tmp_path: Path, configuration: int) -> None:
    pad_outside(tiny)
    for name in ("config.json", "generation_config.json"):
        edit(tiny / name, lambda config: config.update(pad_token_id=configuration))
    imported = bring(tiny, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(imported.folder)
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("<|im_end|>", 2)
    assert max(tokenizer("a [PAD] in the text")["input_ids"]) < 400
    said = [
        "padding token set to the end token '<|im_end|>'",
        "padding token '[PAD]', for which the model has no embedding, taken out",
    ]
    if configuration:
        said += [f"pad_token_id 400 of {name}, outside the 400 embeddings, set to 2"
                 for name in ("config.json", "generation_config.json")]  # fmt: skip
    assert imported.metadata["repaired"] == said
    opened(imported)


def test_a_turn_that_the_model_has_no_embedding_for(tiny: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_start|>", "<|turn|>")
    tokenizer.save_pretrained(tiny)
    message = refusal(tiny, tmp_path, "BadChatTemplate")
    assert "writes '<|turn|>', whose id 400 lies outside the model's 400 embeddings" in message
