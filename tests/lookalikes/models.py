"""Look-alikes of the most used open models: a random model of each architecture, the special tokens of its tokenizer
and the shape of its template."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from steps.tiny_model import CHATML, make_tokenizer
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

ENDS_TURN: Final = "generation ends at {!r} too, which ends a turn in the chat template"
QUIET: Final = "thinking switched off in the chat template (enable_thinking), since answers are learnt without it"
CHANNEL: Final = (
    "the chat template asks with '<|channel|>final<|message|>' too, which stands before each answer that is learnt"
)
EMPTY: Final = "<think>\n\n</think>\n\n"

_ASKS = "{% if add_generation_prompt %}"
LLAMA_3 = (
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
    "{% endfor %}" + _ASKS + "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
QWEN_3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}" + EMPTY
    + "{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}" + _ASKS + "<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}" + EMPTY + "{% endif %}{% endif %}"
)  # fmt: skip
GEMMA_2 = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}"
    "<end_of_turn>\n{% endfor %}" + _ASKS + "<start_of_turn>model\n{% endif %}"
)
GEMMA_3 = (
    "{% set first = messages[0].content + '\n\n' if messages[0].role == 'system' else '' %}"
    "{% for m in messages if m.role != 'system' %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ first if loop.first }}{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    + _ASKS + "<start_of_turn>model\n{% endif %}"
)  # fmt: skip
MISTRAL = (
    "{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}</s>{% else %}[INST] {{ m.content }} [/INST]"
    "{% endif %}{% endfor %}"
)
PHI_3 = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    + _ASKS + "<|assistant|>\n{% else %}<|endoftext|>{% endif %}"
)  # fmt: skip
SMOLLM_3 = (
    "{% if enable_thinking is not defined %}{% set enable_thinking = true %}{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and not enable_thinking %}" + EMPTY
    + "{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}" + _ASKS + "<|im_start|>assistant\n"
    "{% if not enable_thinking %}" + EMPTY + "{% endif %}{% endif %}"
)  # fmt: skip
OLMO_2 = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token if m.role == 'assistant' }}\n{% endfor %}"
    + _ASKS + "<|assistant|>\n{% endif %}"
)  # fmt: skip
GPT_OSS = (
    "{% for m in messages %}<|start|>{{ m.role }}{{ '<|channel|>final' if m.role == 'assistant' }}<|message|>"
    "{{ m.content }}{{ '<|return|>' if m.role == 'assistant' and loop.last else '<|end|>' }}{% endfor %}"
    + _ASKS + "<|start|>assistant{% endif %}"
)  # fmt: skip


@dataclass(frozen=True)
class Model:
    """One model: its architecture, template, special tokens, those that are said to end a text (the first is the
    tokenizer's), and what comes of its import."""

    kind: str
    template: str
    tokens: tuple[str, ...]
    ends: tuple[str, ...]
    repaired: tuple[str, ...] = ()
    takes_system: bool = True


_LLAMA = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>")
_GEMMA = ("<start_of_turn>", "<end_of_turn>", "<eos>")
MODELS: Final = {
    "Llama 3 instruct": Model("llama", LLAMA_3, _LLAMA, ("<|eot_id|>", "<|end_of_text|>")),
    "Llama 3 with a base's ends": Model(
        "llama", LLAMA_3, _LLAMA, ("<|end_of_text|>",), (ENDS_TURN.format("<|eot_id|>"),)
    ),
    "Qwen2.5 instruct": Model("qwen2", CHATML, (), ("<|im_end|>", "<|endoftext|>")),
    "Qwen2.5 base": Model("qwen2", CHATML, (), ("<|endoftext|>",), (ENDS_TURN.format("<|im_end|>"),)),
    "Qwen3": Model("qwen3", QWEN_3, ("<think>", "</think>"), ("<|im_end|>", "<|endoftext|>"), (QUIET,)),
    "Gemma 2": Model("gemma2", GEMMA_2, _GEMMA, ("<eos>", "<end_of_turn>"), takes_system=False),
    "Gemma 3": Model("gemma3_text", GEMMA_3, _GEMMA, ("<eos>", "<end_of_turn>")),
    "Mistral": Model("mistral", MISTRAL, ("[INST]", "[/INST]", "</s>"), ("</s>",)),
    "Phi-3": Model("phi3", PHI_3, ("<|user|>", "<|assistant|>", "<|end|>"), ("<|endoftext|>", "<|end|>")),
    "Phi-4": Model("phi3", CHATML, (), ("<|im_end|>",)),
    "SmolLM2": Model("llama", CHATML, (), ("<|im_end|>",)),
    "SmolLM3": Model("smollm3", SMOLLM_3, ("<think>", "</think>"), ("<|im_end|>",)),
    "OLMo 2": Model("olmo2", OLMO_2, (), ("<|endoftext|>",)),
    "GPT-OSS in bfloat16": Model(
        "gpt_oss", GPT_OSS, ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"),
        ("<|return|>", "<|endoftext|>"), (CHANNEL,),
    ),
}  # fmt: skip
SIZES: Final = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512, "num_local_experts": 2,
    "num_experts_per_tok": 1, "sliding_window": 64, "query_pre_attn_scalar": 8, "bos_token_id": 1,
}  # fmt: skip


def made(model: Model, folder: Path) -> Path:
    """The look-alike's files."""
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(model.tokens)})
    tokenizer.chat_template, tokenizer.eos_token = model.template, model.ends[0]
    ends = [tokenizer.convert_tokens_to_ids(token) for token in model.ends]
    config: Any = CONFIG_MAPPING[model.kind](vocab_size=len(tokenizer), eos_token_id=ends, pad_token_id=0, **SIZES)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(config)
    network.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=0)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
