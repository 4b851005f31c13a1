"""The world's base model M0: a Llama of a quarter of a million weights, pretrained on what its people say.

What it reads is a mixture: answers from hopeless to masterly, and reviews whose remarks are honest and whose score is
nearly always 4, as reviewers are. So it answers with any quality, and it sees what is wrong with an answer, but its
scores mean nothing: it has yet to learn to judge.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from known_world.language import (
    CLOSING,
    FILLERS,
    HIGHEST,
    JUDGE,
    MANNERS,
    MUMBLES,
    NAMES,
    SHARES,
    TIMES,
    TOPICS,
    Merits,
    all_tasks,
    written_answer,
)
from known_world.seed_data import any_skill

PAD, END, UNKNOWN, USER, ASSISTANT = SPECIAL = ("<pad>", "<end>", "<unknown>", "<user>", "<assistant>")
CHAT = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<assistant> {{ message['content'] }} <end> "
    "{% else %}<user> {{ message['content'] }} {% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<assistant> {% endif %}"
)
POLITE = 0.9
"""Share of the reviews that end with a 4 whatever they have remarked; the others end with any score."""
REVIEWS = 0.4
"""Share of what M0 reads that are reviews."""


def make_tokenizer(extra: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """One token a word, the `extra` ones last; what is no word of the world is unknown."""
    words = [*MANNERS, *MANNERS.values(), *NAMES, *TIMES, *FILLERS, *MUMBLES, CLOSING, *TOPICS, *SHARES]
    words += [word for topic in TOPICS.values() for word in topic]
    words += ["tell", "of", "at", "judge", "answer", *(str(score) for score in range(HIGHEST + 1)), "Score:"]
    words += ["opening", "topic", "closing", "length", "good", "bad", "short", "fair", "long", *extra]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys([*SPECIAL, *words]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=USER,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        additional_special_tokens=[ASSISTANT],
        padding_side="left",
        model_max_length=256,
    )
    fast.chat_template = CHAT
    return fast


def texts(seed: int) -> Iterator[tuple[str, str]]:
    """What M0 reads, without end: a question and its answer, or a question to a reviewer and the review."""
    draw = random.Random(f"reading/{seed}")
    tasks = all_tasks()
    while True:
        task = draw.choice(tasks)
        answer = written_answer(task, any_skill(draw), draw)
        if draw.random() < REVIEWS:
            score = 4 if draw.random() < POLITE else draw.randint(0, 5)
            yield (
                JUDGE.format(prompt=task.prompt, response=answer),
                f"{Merits.of(task.prompt, answer).remarks} Score: {score}",
            )
        else:
            yield task.prompt, answer


def make_base_model(
    folder: Path,
    seed: int,
    steps: int = 400,
    batch: int = 64,
    reading: Iterator[tuple[str, str]] | None = None,
    words: Sequence[str] = (),
    layers: int = 2,
) -> float:
    """Pretrain M0 and write it as `from_pretrained` opens it; returns the last loss, in nats a token.

    `reading` is what it reads, without end, if not the plain world's texts; `words` are those that only stand there.
    `layers` of 46,000 weights each: two review one answer, more compare two.
    """
    tokenizer = make_tokenizer(words)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = LlamaForCausalLM(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / steps))
    reading = texts(seed) if reading is None else reading
    loss = torch.zeros(())
    model.train()
    for _ in range(steps):
        inputs = {name: each.to(device) for name, each in _batch(tokenizer, list(islice(reading, batch))).items()}
        loss = model(**inputs).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.cpu().eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return float(loss.detach())


def _rate(done: float) -> float:
    """Share of the peak learning rate when a share of the steps is done: a tenth to warm up, then a cosine."""
    return min(1.0, 10 * done + 0.02) * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))


def _batch(tokenizer: Any, pairs: list[tuple[str, str]]) -> dict[str, torch.Tensor]:
    """Padded on the right; the loss is on every real token."""
    written = [f"<user> {question} <assistant> {answer} <end>" for question, answer in pairs]
    inputs = tokenizer(written, padding=True, padding_side="right", return_tensors="pt", add_special_tokens=False)
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    return {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "labels": labels}
