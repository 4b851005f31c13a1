"""Models in every state they come in: what is imported, what is mended, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file, save_file
from selfreward_steps.importing.chat_template import PLAIN_TEMPLATE
from steps.importing.bringing import bring, edit, refusal
from steps.tiny_model import CHATML, make_tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

CHAT = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
# Gemma's way: no system message, and says so.
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
)


def test_a_good_model_is_passed_on_as_it_is(tiny: Path, tmp_path: Path) -> None:
    (tiny / "README.md").write_text("---\nlicense: mit\n---\n# Theirs")
    (tiny / "pytorch_model.bin").write_bytes(b"a second copy")
    (tiny / "modeling_tiny.py").write_text("raise AssertionError('run')")
    # As in another run's artifact, which a run may begin with.
    (tiny / "manifest.json").write_text("{}")
    imported = bring(tiny, tmp_path)
    names = {path.name for path in imported.folder.iterdir()}
    assert names == {path.name for path in tiny.iterdir()} - {"pytorch_model.bin", "modeling_tiny.py", "manifest.json"}
    for name in names - {"README.md"}:
        assert (imported.folder / name).read_bytes() == (tiny / name).read_bytes()
    assert (tiny / "README.md").read_text().endswith("# Theirs")
    assert imported.metadata == {
        "source": tiny.as_uri(),
        "revision": None,
        "licence": "mit",
        "system_role": True,
        "chat_template": "own",
        "repaired": [],
        "architecture": "llama",
        "weights": "31,392",
        "stored as": "F32",
    }


def test_the_model_card_opens_with_what_the_hub_reads(tiny: Path, tmp_path: Path) -> None:
    (tiny / "LICENSE").write_text("Apache License\n  Version 2.0, January 2004")
    card = (bring(tiny, tmp_path).folder / "README.md").read_text()
    _, header, text = card.split("---\n", 2)
    assert yaml.safe_load(header) == {
        "license": "apache-2.0",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["selfreward"],
    }
    assert f"| source | {tiny.as_uri()} |" in text
    assert "| chat template | the model's |" in text


def test_a_sharded_model_is_whole(tiny: Path, tmp_path: Path) -> None:
    (tiny / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(make_tiny_model(tmp_path / "again")).save_pretrained(
        tiny, max_shard_size="60KB"
    )
    assert len(list(tiny.glob("*.safetensors"))) > 1
    imported = bring(tiny, tmp_path)
    assert imported.metadata["weights"] == "31,392"
    AutoModelForCausalLM.from_pretrained(imported.folder)


def test_no_chat_template_offers_the_default(tmp_path: Path) -> None:
    bare = make_tiny_model(tmp_path / "bare", chat_template=False)
    message = refusal(bare, tmp_path, "NoChatTemplate")
    assert message.startswith(f"model.uri: {bare.as_uri()} has no chat template: set model.chatTemplate to `default`")


def test_the_default_template_ends_answers_and_leaves_the_source_alone(tmp_path: Path) -> None:
    bare = make_tiny_model(tmp_path / "bare", chat_template=False)
    before = {path.name: path.read_bytes() for path in bare.iterdir()}
    imported = bring(bare, tmp_path, chatTemplate="default")
    assert {path.name: path.read_bytes() for path in bare.iterdir()} == before
    tokenizer = AutoTokenizer.from_pretrained(imported.folder)
    assert tokenizer.chat_template == PLAIN_TEMPLATE
    rendered = tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert rendered == "### User:\nHello\n\n### Assistant:\nHi<|im_end|>\n\n"
    asked = tokenizer.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True)
    assert rendered.startswith(asked), "training sees what generation saw"
    assert (imported.system_role, imported.metadata["chat_template"]) == (True, "default")


def test_a_template_given_replaces_the_models(tiny: Path, tmp_path: Path) -> None:
    imported = bring(tiny, tmp_path, chatTemplate=NO_SYSTEM)
    tokenizer = AutoTokenizer.from_pretrained(imported.folder)
    assert tokenizer.chat_template == NO_SYSTEM
    assert not imported.system_role
    assert imported.metadata["system_role"] is False
    assert "| system message | not taken by the chat template |" in (imported.folder / "README.md").read_text()


def test_a_template_that_drops_the_system_message_does_not_take_it(tiny: Path, tmp_path: Path) -> None:
    dropping = CHATML.replace(
        "{% for message in messages %}", "{% for message in messages if message.role != 'system' %}"
    )
    assert not bring(tiny, tmp_path, chatTemplate=dropping).system_role


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% for message in messages %}", "is not valid Jinja: line 1"),
        ("{{ messages[0].content.nope() }}", "fails on a user's message"),
        ("{{ raise_exception('never') }}", "fails on a user's message: never"),
        ("{{ messages[0].content }}", "leaves out what the user or the assistant says"),
        ("always the same", "leaves out what the user or the assistant says"),
    ],
    ids=["syntax", "attribute", "raises", "one-turn", "constant"],
)
def test_a_broken_template(tiny: Path, tmp_path: Path, template: str, expected: str) -> None:
    assert expected in (message := refusal(tiny, tmp_path, "BadChatTemplate", chatTemplate=template))
    assert message.startswith("model.chatTemplate: the template ")
    (tiny / "chat_template.jinja").write_text(template)
    own = refusal(tiny, tmp_path, "BadChatTemplate")
    assert own.startswith(f"model.uri: {tiny.as_uri()}: its chat template ")


def test_missing_tokens_are_mended_and_told(tiny: Path, tmp_path: Path) -> None:
    edit(tiny / "tokenizer_config.json", lambda config: [config.pop(name, None) for name in ("eos_token", "pad_token")])
    (tiny / "generation_config.json").unlink()
    imported = bring(tiny, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(imported.folder)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert json.loads((imported.folder / "generation_config.json").read_text())["eos_token_id"] == 2
    assert imported.metadata["repaired"] == [
        "end token set to '<|im_end|>'",
        "padding token set to the end token '<|im_end|>'",
    ]
    assert "Changed on import: end token set" in (imported.folder / "README.md").read_text()


def test_no_end_token_anywhere(tiny: Path, tmp_path: Path) -> None:
    named = ("eos_token", "pad_token", "unk_token")
    edit(tiny / "tokenizer_config.json", lambda config: [config.pop(name) for name in named])
    # Left out, transformers would fill in Llama's own number.
    edit(tiny / "config.json", lambda config: config.update(eos_token_id=None))
    text = (tiny / "tokenizer.json").read_text()
    (tiny / "tokenizer.json").write_text(text.replace("<|im_end|>", "<|unheard|>").replace("<|endoftext|>", "<|of|>"))
    assert "names an end token (eos_token)" in refusal(tiny, tmp_path, "NoEndToken")


def cut(name: str, left: int) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:left])


def shard(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    names = list(weights)
    for part, chosen in (("a", names[:5]), ("b", names[5:])):
        save_file({name: weights[name].clone() for name in chosen}, folder / f"{part}.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: "a.safetensors" if name in names[:5] else "b.safetensors" for name in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def lose_shard(folder: Path) -> None:
    shard(folder)
    (folder / "b.safetensors").unlink()


def lose_weight(folder: Path) -> None:
    shard(folder)
    edit(folder / "model.safetensors.index.json", lambda index: index["weight_map"].update(extra="a.safetensors"))


def only_pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (cut("model.safetensors", 100_000), "model.safetensors: it is cut off or damaged (100000 bytes"),
        (cut("model.safetensors", 4), "model.safetensors: it is cut off or damaged"),
        (cut("config.json", 20), "config.json: it is not JSON"),
        (cut("tokenizer.json", 2000), "tokenizer.json: it is not JSON"),
        (lambda folder: (folder / "config.json").unlink(), "config.json: the file is missing"),
        (lose_shard, "b.safetensors: model.safetensors.index.json names it, but it is missing"),
        (lose_weight, "1 weights it names are in no file, the first extra"),
        (only_pickled, "it holds pickled weights (.bin) only"),
        (lambda folder: (folder / "model.safetensors").unlink(), "it holds neither safetensors nor a GGUF file"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "it is a LoRA adapter"),
    ],
    ids=["weights", "header", "config", "tokenizer", "no-config", "shard", "index", "pickled", "nothing", "adapter"],
)  # fmt: skip
def test_a_spoilt_folder(tiny: Path, tmp_path: Path, spoil: Callable[[Path], object], expected: str) -> None:
    spoil(tiny)
    message = refusal(tiny, tmp_path, "BadModelFile")
    assert expected in message, message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model_type": "clip"}, "model type 'clip' is not a causal language model"),
        ({"model_type": "vit"}, "model type 'vit' is not a causal language model"),
        ({"model_type": "home-made", "auto_map": {"AutoConfig": "configuration_x.X"}}, "without running its own code"),
    ],
    ids=["both", "vision", "own-code"],
)
def test_what_is_not_a_language_model(tiny: Path, tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    edit(tiny / "config.json", lambda config: config.update(change))
    assert expected in refusal(tiny, tmp_path, "UnsupportedModel")


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x")
    assert "a folder of safetensors or a .gguf file" in refusal(path, tmp_path, "BadModelFile")
