"""A folder of safetensors: which files make up the model, and whether they are whole.

Only headers are read, so a model far larger than memory passes through. It must not load torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from math import prod
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open

from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.hub import PATTERNS
from selfreward_steps.store.names import MANIFEST

INDEX: Final = "model.safetensors.index.json"
OWN_CARD: Final = "README.md"
_SHARD: Final = re.compile(r"(.+)-(\d+)-of-(\d+)\.safetensors")


def bad_file(field: str, path: Path, problem: str) -> PermanentError:
    """The error for a file that is no part of a whole model; `field` is the spec's (`model`)."""
    return PermanentError("BadModelFile", f"{field}.uri: {path}: {problem}")


def model_path(path: Path, field: str) -> Path:
    """The GGUF file or the safetensors folder that `path` means; raises PermanentError BadModelFile."""
    if path.is_file():
        if path.suffix != ".gguf":
            raise bad_file(field, path, "a model is a folder of safetensors or a .gguf file")
        return path
    if any(path.glob("*.safetensors")):
        return path
    ggufs = sorted(path.glob("*.gguf"))
    if len(ggufs) == 1:
        return ggufs[0]
    if ggufs:
        names = ", ".join(found.name for found in ggufs[:5])
        raise bad_file(field, path, f"it holds {len(ggufs)} GGUF files: name one of them in the URI: {names}")
    if any(path.glob("*.bin")):
        raise bad_file(field, path, "it holds pickled weights (.bin) only: convert them to safetensors")
    raise bad_file(field, path, "it holds neither safetensors nor a GGUF file")


def files_of(folder: Path) -> list[Path]:
    """The files that make up the model. Left out are its own card, as the artifact gets a new one, and the manifest of
    a model that lies in a store, another run's perhaps."""
    left_out = (OWN_CARD, MANIFEST)
    found = (path for path in sorted(folder.iterdir()) if path.is_file() and path.name not in left_out)
    return [path for path in found if any(fnmatch(path.name, pattern) for pattern in PATTERNS)]


def check_safetensors(folder: Path, field: str) -> tuple[int, list[str]]:
    """The number of weights and their formats; raises PermanentError BadModelFile for what is missing or cut off."""
    if (folder / "adapter_config.json").exists():
        raise bad_file(field, folder, "it is a LoRA adapter, not a model: merge it into its base first")
    if not (folder / "config.json").is_file():
        raise bad_file(field, folder / "config.json", "the file is missing")
    for path in sorted(folder.glob("*.json")):
        _read_json(path, field)
    tensors: set[str] = set()
    kinds: set[str] = set()
    weights = 0
    for path in weight_files(folder, field):
        for name, shape, kind in _tensors(path, field):
            tensors.add(name)
            kinds.add(kind)
            weights += prod(shape)
    _check_index(folder, tensors, field)
    return weights, sorted(kinds)


def weight_files(folder: Path, field: str) -> list[Path]:
    """The files of weights that are opened: those of the index, `model.safetensors`, or all there are.

    Raises PermanentError BadModelFile when one is missing.
    """
    index = folder / INDEX
    if index.exists():
        names = sorted(set(_weight_map(index, field).values()))
        for name in names:
            if not (folder / name).is_file():
                raise bad_file(field, folder / name, f"{INDEX} names it, but it is missing: get the folder again")
        return [folder / name for name in names]
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    found = sorted(folder.glob("*.safetensors"))
    shards = [match for path in found if (match := _SHARD.fullmatch(path.name))]
    lacking = {
        f"{match[1]}-{number:0{len(match[2])}}-of-{match[3]}.safetensors"
        for match in shards
        for number in range(1, int(match[3]) + 1)
    } - {path.name for path in found}
    if lacking:
        raise bad_file(field, folder / min(lacking), "other shards are there, but it is missing: get the folder again")
    return [folder / match[0] for match in shards] or found


def tensor_names(path: Path, field: str) -> list[str]:
    """The names of the weights in one file."""
    return [name for name, _, _ in _tensors(path, field)]


def edit_json(path: Path, change: Mapping[str, Any]) -> None:
    """Set fields of a JSON object; a link is replaced by a file of its own."""
    found = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    path.write_text(json.dumps(found | change, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _weight_map(index: Path, field: str) -> dict[str, str]:
    found = _read_json(index, field).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise bad_file(field, index, "it has no weight_map: get the file again")
    return found


def _check_index(folder: Path, tensors: set[str], field: str) -> None:
    index = folder / INDEX
    if not index.exists():
        return
    lacking = sorted(set(_weight_map(index, field)) - tensors)
    if lacking:
        raise bad_file(field, index, f"{len(lacking)} weights it names are in no file, the first {lacking[0]}")


def _tensors(path: Path, field: str) -> Iterator[tuple[str, list[int], str]]:
    try:
        # Opening checks the header against the file's size.
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                piece = file.get_slice(name)
                yield name, piece.get_shape(), str(piece.get_dtype())
    except SafetensorError as error:
        size = path.stat().st_size
        raise bad_file(field, path, f"it is cut off or damaged ({size} bytes: {error}): get the file again") from error


def _read_json(path: Path, field: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise bad_file(field, path, f"it is not JSON ({error}): get the file again") from error
    return found if isinstance(found, dict) else {}
