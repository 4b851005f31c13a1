"""How many parameters a model has, as far as this machine's disk tells: its folder, or the hub's cache.

Headers and configurations only; nothing is loaded and no network asked. What a name says (`-8B`) is no number.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from selfreward_steps.contract import ModelShape, ModelSource, parameters_of_config, shape_of

_MOST_HEADER: Final = 100_000_000
"""Bytes; safetensors itself reads no longer one."""


def parameters_of(source: ModelSource) -> int | None:
    """The number, or None when nothing here tells."""
    folder = _folder(source)
    if folder is None:
        return None
    try:
        return _of_weights(folder) or parameters_of_config(_config(folder))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # no such file, or not what it is called: the import will say so


def shape_on_disk(source: ModelSource) -> ModelShape | None:
    """The model's shape, or None when nothing here tells."""
    folder = _folder(source)
    try:
        return None if folder is None else shape_of(_config(folder), parameters_of(source))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
    return config


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
