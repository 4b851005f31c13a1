"""Weights that are all there and are the ones that the architecture has: what is mended, and what is refused.

transformers fills what a checkpoint lacks with noise and says so in a log; here it is an error, told before anything is
trained. The model is opened without memory for its weights (PyTorch's `meta` device).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from transformers import AutoModelForCausalLM
from transformers.utils import logging

from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.files import INDEX, bad_file, edit_json, tensor_names, weight_files

_WRAPPERS: Final = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""What torch.compile, FSDP and activation checkpointing put into the names of the weights they wrap."""
_OUTER: Final = ("module.", "base_model.model.")
"""What DataParallel and peft put before every name."""
_HEADS: Final = re.compile(r"For(?:Sequence|Token)Classification|ForQuestionAnswering|Reward")
_SPARE: Final = re.compile(r"rotary_emb\.inv_freq$|\.attn\.(?:masked_)?bias$|^v_head\.|(?:^|\.)mtp\.")
"""Weights beside the language model that nothing here needs: old buffers, PPO's value head, multi-token prediction."""


def refuse_other_heads(config: Any, field: str, path: Path) -> None:
    """Raise PermanentError UnsupportedModel for a reward model or another classifier, which writes no text."""
    for name in config.architectures or ():
        if _HEADS.search(name):
            raise _unsupported(
                field, path, f"it is a classifier or reward model ({name}): use a model that writes text"
            )


def refuse_quantised(config: Any, kinds: Iterable[str], field: str, path: Path) -> None:
    """Raise PermanentError UnsupportedModel for a model whose weights cannot be trained as they are stored."""
    stated = getattr(config, "quantization_config", None)
    if stated is not None:
        method = (stated if isinstance(stated, Mapping) else vars(stated)).get("quant_method", "in some way")
        problem = f"its weights are quantised ({getattr(method, 'value', method)})"
    elif low := [kind for kind in kinds if kind in ("I8", "U8", "I32") or kind.startswith("F8")]:
        problem = f"its weights are stored as {', '.join(low)}"
    else:
        return
    raise _unsupported(field, path, f"{problem}, which cannot be trained: use the model that they were made from")


def mend_names(folder: Path, field: str) -> list[str]:
    """Take what wraps a model in training out of the weights' names, and index shards that have no index.

    Files in `folder` may be links; they are replaced, never written through. Returns what was done, in words.
    """
    files = weight_files(folder, field)
    names = {path: tensor_names(path, field) for path in files}
    every = [name for found in names.values() for name in found]
    rename = _renaming(every)
    done = []
    if any(rename(name) != name for name in every):
        if len({rename(name) for name in every}) < len(every):
            raise bad_file(field, folder, "weights of one name are there twice, wrapped and not: save the model again")
        for path in files:
            _rename(path, rename)
        wrapped = next(name for name in every if rename(name) != name)
        done.append(f"names of weights unwrapped ({wrapped} is {rename(wrapped)})")
    lone = [path.name for path in files] == ["model.safetensors"]
    if not lone and (done or not (folder / INDEX).exists()):
        done += [] if (folder / INDEX).exists() else [f"{INDEX} written for {len(files)} files"]
        places = {rename(name): path.name for path, found in names.items() for name in found}
        (folder / INDEX).unlink(missing_ok=True)
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}, indent=2, sort_keys=True) + "\n")
    return done


def check_weights(folder: Path, field: str, path: Path) -> None:
    """Raise PermanentError when the weights are not the architecture's.

    BadModelFile when some are missing, too many or of another size; UnsupportedModel when it cannot be opened. `path`
    is what the user gave.
    """
    level = logging.get_verbosity()
    # Its report is a table of many lines; what it says is said in one below.
    logging.set_verbosity(logging.CRITICAL)
    try:
        _, found = AutoModelForCausalLM.from_pretrained(
            folder, device_map="meta", dtype="auto", output_loading_info=True, ignore_mismatched_sizes=True
        )
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, AssertionError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise _unsupported(field, path, f"transformers cannot open it: {reason}") from error
    finally:
        logging.set_verbosity(level)
    spare = [name for name in found["unexpected_keys"] if not _SPARE.search(name)]
    other = [str(each[0] if isinstance(each, tuple) else each) for each in found["mismatched_keys"]]
    _refuse(field, path, sorted(found["missing_keys"]), "it lacks {} weights, the first {}")
    _refuse(field, path, sorted(other), "{} weights have another size than config.json says, the first {}")
    _refuse(field, path, sorted(spare), "it has {} weights that its architecture does not, the first {}")


def mend_padding(folder: Path, rows: int, pad: int) -> list[str]:
    """Set a padding id that lies outside the embeddings to `pad` in both configurations; what was done, in words."""
    done = []
    for name in ("config.json", "generation_config.json"):
        path = folder / name
        found = json.loads(path.read_text(encoding="utf-8")).get("pad_token_id") if path.exists() else None
        if isinstance(found, int) and found >= rows:
            edit_json(path, {"pad_token_id": pad})
            done.append(f"pad_token_id {found} of {name}, outside the {rows} embeddings, set to {pad}")
    return done


def _refuse(field: str, path: Path, names: list[str], problem: str) -> None:
    if names:
        raise bad_file(field, path, problem.format(len(names), names[0]) + ": use the whole model as it was saved")


def _renaming(names: Iterable[str]) -> Callable[[str], str]:
    def inner(name: str) -> str:
        for wrapper in _WRAPPERS:
            name = name.replace(wrapper, "")
        return name

    bare = [inner(name) for name in names]
    outer = next((each for each in _OUTER if all(name.startswith(each) for name in bare)), "")
    return lambda name: inner(name).removeprefix(outer)


def _rename(path: Path, rename: Callable[[str], str]) -> None:
    """The same file with other names in its header; the weights are copied as they are."""
    fresh = path.with_name(path.name + ".part")
    with path.open("rb") as old, fresh.open("wb") as new:
        header = json.loads(old.read(int.from_bytes(old.read(8), "little")))
        text = json.dumps({name if name == "__metadata__" else rename(name): told for name, told in header.items()})
        # The weights begin at a multiple of eight bytes.
        raw = text.encode() + b" " * (-len(text.encode()) % 8)
        new.write(len(raw).to_bytes(8, "little") + raw)
        shutil.copyfileobj(old, new, 1 << 24)
    fresh.replace(path)


def _unsupported(field: str, path: Path, problem: str) -> PermanentError:
    return PermanentError("UnsupportedModel", f"{field}.uri: {path}: {problem}")
