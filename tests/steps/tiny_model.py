"""A real model small enough to make, train and load in a test: 2 layers of width 32 and its own trained tokenizer."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SENTENCES = (
    "Review the user's question and the corresponding response using the additive 5-point scoring system.",
    "The capital of France is Paris, and the capital of Italy is Rome.",
    "Come up with a series of tasks. Task: write a short poem about the sea and the wind.",
    "Score: 0 1 2 3 4 5 points. After examining the instruction and the response, conclude with the score.",
    "How do I boil an egg? Put it in boiling water for seven minutes, then cool it in cold water.",
)


def make_tokenizer(*, chat_template: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of about 400 tokens: any text round-trips. `<|im_end|>` ends a turn."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        model_max_length=512,
    )
    if chat_template:
        fast.chat_template = CHATML
    return fast


def make_tiny_model(folder: Path, seed: int = 0, chat_template: bool = True, **sizes: int) -> Path:
    """Write a Llama of about 30,000 weights (float32 safetensors) that `from_pretrained` opens; returns `folder`.

    The same seed gives the same weights. `sizes` are other fields of its configuration.
    """
    tokenizer = make_tokenizer(chat_template=chat_template)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        **{"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2} | sizes,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
