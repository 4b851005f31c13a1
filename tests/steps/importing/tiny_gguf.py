"""The tiny model as a GGUF file, as llama.cpp's converter would write it."""

import json
from pathlib import Path

import gguf
import numpy
from safetensors.torch import load_file
from steps.tiny_model import CHATML, make_tokenizer


def write_gguf(
    path: Path, folder: Path, *, architecture: str = "llama", pre: str = "smollm", leave_out: str = ""
) -> Path:
    """The tiny model as llama.cpp would have it: quantised where its blocks of 32 fit."""
    config = json.loads((folder / "config.json").read_text())
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("Tiny")
    writer.add_license("mit")
    writer.add_block_count(2)
    writer.add_context_length(512)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(400)
    tokenizer = make_tokenizer()
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([3 if number < 3 else 1 for _, number in vocabulary])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_chat_template(CHATML)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for name, tensor in load_file(folder / "model.safetensors").items():
        told = names.get_name(name, try_suffixes=(".weight",))
        assert told is not None
        if told == leave_out:
            continue
        values = tensor.numpy()
        if "attn_q" in told or "attn_k." in told:
            # llama.cpp keeps the two halves of a rotary head interleaved.
            count = heads if "attn_q" in told else groups
            values = values.reshape(count, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        if values.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(told, gguf.quantize(numpy.ascontiguousarray(values), kind), raw_dtype=kind)
        else:
            writer.add_tensor(told, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
