"""Conversion of a GGUF file into what `from_pretrained` opens: dequantised safetensors and a tokenizer.

llama.cpp's file is one of weights, vocabulary and template; training and serving here want the usual folder. It
must not be imported before it is needed: it loads torch.
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.integrations.gguf.dequant import GGML_NAME
from transformers.integrations.gguf.reader import GgufHeader, read_gguf_metadata

from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.files import bad_file

EXACT_WEIGHTS: Final = 1_000_000_000
"""Up to so many weights, dequantised values are kept exactly, in float32; see :func:`dtype_of`."""
_NAMES: Final = {0: "F32", 1: "F16", 30: "BF16", **GGML_NAME}
DIGIT_SPLITTERS: Final = frozenset({"smollm", "starcoder", "refact", "command-r"})
"""GGUF pre-tokenizers that set every digit apart, which transformers 5.19 leaves out."""


def read_header(path: Path, field: str) -> tuple[GgufHeader, dict[str, Any]]:
    """The tensor table and the metadata of `path`, checked to be whole without reading weights.

    transformers' own reader, since the gguf package's takes seconds over a vocabulary. Raises PermanentError
    BadModelFile: not GGUF, cut off, or of a type that cannot be dequantised.
    """
    size = path.stat().st_size
    try:
        header = GgufHeader.from_file(str(path))
        metadata, _ = read_gguf_metadata(str(path))
    except (struct.error, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise bad_file(field, path, f"it is cut off after {size} bytes: get the file again") from error
    except ValueError as error:
        raise bad_file(field, path, f"{error}: get the file again, or use the model's safetensors") from error
    if not header.tensors:
        raise bad_file(field, path, "it holds a vocabulary and no weights: use the model's file")
    whole = header.data_start + max(tensor.offset + tensor.nbytes for tensor in header.tensors)
    if size < whole:
        raise bad_file(field, path, f"it is cut off: {size} of {whole} bytes: get the file again")
    return header, metadata


def dtype_of(header: GgufHeader) -> torch.dtype:
    """The number format to store.

    A bfloat16 file stays so. Quantised weights of a small model become float32, exactly, because the paper's
    learning rates (1e-7 … 5e-6) move a weight by less than bfloat16 resolves, and a small model is trained in
    float32 anyway; float16 becomes float32 too, since it overflows in training. A large model becomes bfloat16, in
    which it will be trained and served: its rounding (0.4 %) is far below that of the quantisation.
    """
    if header.dtype == torch.bfloat16:
        return torch.bfloat16
    weights = sum(prod(tensor.shape) for tensor in header.tensors)
    return torch.float32 if weights <= EXACT_WEIGHTS else torch.bfloat16


def convert(path: Path, folder: Path, field: str) -> tuple[Any, dict[str, str]]:
    """Write the model's weights and configuration to `folder`; returns its tokenizer and facts for the card.

    The tokenizer is not written yet. Raises PermanentError BadModelFile or UnsupportedModel.
    """
    header, metadata = read_header(path, field)
    dtype = dtype_of(header)
    kinds = sorted({_NAMES.get(kind, str(kind)) for kind in header.ggml_types.values()})
    try:
        # Handed on, since each call that has none reads the whole file for it.
        config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, config=config)
        model, loaded = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            config=config,
            dtype=dtype,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
        )
    except (ValueError, KeyError, NotImplementedError, AttributeError) as error:
        raise PermanentError(
            "UnsupportedModel",
            f"{field}.uri: {path}: transformers {transformers.__version__} cannot read GGUF architecture "
            f"{header.architecture!r} with {', '.join(kinds)}: {error}: use the model's safetensors",
        ) from error
    lacking = sorted(loaded["missing_keys"])
    if lacking:
        raise bad_file(field, path, f"it lacks {len(lacking)} weights, the first {lacking[0]}: get the file again")
    _split_digits(tokenizer, metadata.get("tokenizer.ggml.pre"))
    # What it was loaded from is this machine's path, of no use to a reader.
    model.config.name_or_path = ""
    model.save_pretrained(folder)
    facts = {
        "name": str(metadata.get("general.name", path.stem)),
        "licence": str(metadata.get("general.license", "")),
        "architecture": header.architecture,
        "quantisation": ", ".join(kinds),
        "stored as": str(dtype).removeprefix("torch."),
    }
    return tokenizer, facts


def _split_digits(tokenizer: Any, kind: str | None) -> None:
    if kind in DIGIT_SPLITTERS:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
