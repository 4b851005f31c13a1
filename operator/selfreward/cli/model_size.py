"""How many parameters a model has, as far as this machine's disk tells: its folder, or the hub's cache.

Headers and configurations only; nothing is loaded and no network asked. What a name says (`-8B`) is no number.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from selfreward_steps.contract import ModelSource

_MOST_HEADER: Final = 100_000_000
"""Bytes; safetensors itself reads no longer one."""
_LLAMA_LIKE: Final = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Architectures with the parts that :func:`parameters_of_config` counts."""


def parameters_of(source: ModelSource) -> int | None:
    """The number, or None when nothing here tells."""
    folder = _folder(source)
    if folder is None:
        return None
    try:
        return _of_weights(folder) or parameters_of_config(json.loads((folder / "config.json").read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # no such file, or not what it is called: the import will say so


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


def _folder(source: ModelSource) -> Path | None:
    scheme, _, rest = source.uri.partition("://")
    if scheme == "file":
        return Path(unquote(urlsplit(source.uri).path))
    if scheme != "hf" or rest.count("/") != 1:
        return None
    home = Path(os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser())
    cached = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"models--{rest.replace('/', '--')}"
    revision = source.revision or "main"
    with suppress(OSError, ValueError):  # a commit is no ref
        revision = (cached / "refs" / revision).read_text().strip()
    return cached / "snapshots" / revision


def _of_weights(folder: Path) -> int | None:
    files = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = sorted({folder / name for name in json.loads(index.read_bytes())["weight_map"].values()})
    return sum(_of_file(path) for path in files) or None


def _of_file(path: Path) -> int:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _MOST_HEADER:
            raise ValueError(f"{path}: no safetensors")
        header = json.loads(file.read(length))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
