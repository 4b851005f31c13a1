"""GGUF files: the model they become, and those that are refused."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from selfreward_steps.importing.gguf import dtype_of, read_header
from steps.importing.bringing import bring, refusal
from steps.importing.tiny_gguf import write_gguf
from steps.tiny_model import make_tiny_model, make_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

CHAT = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture(scope="module")
def gguf_file(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.Q8_0.gguf", made)


def test_gguf_becomes_the_model_it_was_made_of(made: Path, gguf_file: Path, tmp_path: Path) -> None:
    imported = bring(gguf_file, tmp_path)
    assert imported.metadata["licence"] == "mit"
    assert (imported.metadata["quantisation"], imported.metadata["stored as"]) == ("F32, Q8_0", "float32")
    ours, theirs = (AutoModelForCausalLM.from_pretrained(folder) for folder in (imported.folder, made))
    tokenizer = AutoTokenizer.from_pretrained(imported.folder)
    ids = tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        difference = (ours(ids).logits - theirs(ids).logits).abs().max().item()
        scale = theirs(ids).logits.abs().max().item()
    # 8-bit blocks: a wrongly permuted head or a wrong norm would differ by as much as the logits themselves.
    assert difference < 0.05 * scale
    assert tokenizer.apply_chat_template(CHAT, tokenize=False) == make_tokenizer().apply_chat_template(
        CHAT, tokenize=False
    )
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert (imported.folder / "README.md").is_file()


def test_gguf_digits_stand_apart_where_the_file_says_so(made: Path, gguf_file: Path, tmp_path: Path) -> None:
    pieces = AutoTokenizer.from_pretrained(bring(gguf_file, tmp_path).folder).tokenize("in   2024")
    assert pieces[-4:] == ["2", "0", "2", "4"]
    # SmolLM's digits take no space before them: the run of spaces stays whole, whatever its merges.
    other = write_gguf(tmp_path / "other.gguf", made, pre="gpt-2")
    shared = AutoTokenizer.from_pretrained(bring(other, tmp_path).folder)
    split = [piece for piece, _ in shared.backend_tokenizer.pre_tokenizer.pre_tokenize_str("in   2024")]
    assert split == ["in", "ĠĠ", "Ġ2024"]


def test_a_folder_with_one_gguf_file(gguf_file: Path, tmp_path: Path) -> None:
    assert bring(gguf_file.parent, tmp_path).metadata["architecture"] == "llama"


def test_a_folder_with_two_gguf_files_asks_for_one(gguf_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(gguf_file, folder / name)
    assert "name one of them in the URI: a.gguf, b.gguf" in refusal(folder, tmp_path, "BadModelFile")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (lambda whole: whole[:-1000], "it is cut off: "),
        (lambda whole: whole[:3000], "it is cut off after 3000 bytes"),
        (lambda whole: whole[:10], "it is cut off after 10 bytes"),
        (lambda whole: b"", "empty"),
        (lambda whole: b"PK\3\4" + whole, "not a GGUF file"),
        (lambda whole: b"GGUF" + struct.pack("<I", 1) + whole[8:], "v1"),
    ],
    ids=["last-weights", "metadata", "header", "empty", "zip", "version"],
)
def test_a_spoilt_gguf_file(gguf_file: Path, tmp_path: Path, content: Callable[[bytes], bytes], expected: str) -> None:
    path = tmp_path / "spoilt.gguf"
    path.write_bytes(content(gguf_file.read_bytes()))
    message = refusal(path, tmp_path, "BadModelFile")
    assert expected in message, message
    assert str(path) in message


def test_a_gguf_file_that_lacks_a_weight(made: Path, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "lacking.gguf", made, leave_out="blk.1.ffn_up.weight")
    assert "it lacks 1 weights, the first model.layers.1.mlp.up_proj.weight" in refusal(path, tmp_path, "BadModelFile")


def test_a_gguf_architecture_that_transformers_cannot_read(made: Path, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "other.gguf", made, architecture="rwkv6")
    message = refusal(path, tmp_path, "UnsupportedModel")
    assert "GGUF architecture 'rwkv6' with F32, Q8_0" in message


@pytest.mark.parametrize(
    ("kinds", "weights", "expected"),
    [
        ((12, 0), 135_000_000, torch.float32),
        ((12, 0), 7_000_000_000, torch.bfloat16),
        ((1, 0), 135_000_000, torch.float32),
        ((30, 0), 135_000_000, torch.bfloat16),
        ((0,), 135_000_000, torch.float32),
    ],
    ids=["small", "large", "half", "bfloat16", "float32"],
)
def test_the_number_format_of_a_gguf_model(
    gguf_file: Path, kinds: tuple[int, ...], weights: int, expected: torch.dtype
) -> None:
    header, _ = read_header(gguf_file, "model")
    tensor = header.tensors[0]
    tensors = tuple(tensor._replace(name=str(kind), ggml_type=kind, shape=(weights // len(kinds),)) for kind in kinds)
    assert dtype_of(header._replace(tensors=tensors)) == expected
