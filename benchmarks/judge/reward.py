"""A judge that is not the model itself: a reward model (Bradley and Terry's), by TRL. MODEL STORE STEPS.

It starts from the base model and learns from the rankings that the run's judge learnt from, so the held-out ones test
it too. It scores one answer at a time: there is no order that could sway it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from selfreward_steps.measuring.judge_quality import RankedScores, judge_quality, sign_test, win_rates
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer

BATCH = 16
LONGEST = 1024
"""Tokens of a prompt and an answer: what is longer is not learnt from, and is scored by its beginning."""
LEARNING_RATE = 3e-5


def main() -> None:
    source, store, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    began = time.time()
    test = rows(store / "eft" / "test.jsonl")
    held_out = {row["id"] for row in test}
    learnt = (row for row in rows(store / "seed" / "rankings.jsonl") if row["id"] not in held_out)
    pairs = [pair for row in learnt for pair in _pairs(row)]
    tokenizer = AutoTokenizer.from_pretrained(source)
    trainer = _trained(source, tokenizer, pairs, steps)
    trained = time.time() - began
    model = trainer.model.eval()

    def scored(prompt: str, answers: Sequence[str]) -> list[float]:
        return _scores(model, tokenizer, [[*_asked(prompt), *_said(answer)] for answer in answers])

    ranked = [
        RankedScores(
            ranks=[answer["rank"] for answer in row["answers"]],
            scores=scored(row["prompt"], [answer["content"] for answer in row["answers"]]),
            lengths=[len(answer["content"]) for answer in row["answers"]],
        )
        for row in test
    ]
    quality = judge_quality(ranked, max_score=float("inf"), seed=0)
    told: dict[str, Any] = {
        "pairs": len(pairs),
        "steps": trainer.state.global_step,
        "training_seconds": trained,
        "judge": {name: rate.as_json() for name, rate in quality.items() if name.startswith("pairwise_accuracy")},
        "against_m1": {},
    }
    answers = {
        folder.name: {row["id"]: row for row in rows(folder / "answers.jsonl")}
        for folder in sorted((store / "evaluation").glob("m*"))
    }
    first = answers.pop("m1")
    for name, mine in answers.items():
        both = [(mine[key], row) for key, row in first.items() if key in mine]
        outcomes = []
        for own, other in both:
            score, against = scored(own["prompt"], [own["answer"], other["answer"]])
            outcomes.append((score > against) - (score < against))
        told["against_m1"][name] = {
            "prompts": len(both),
            **{kind: rate.as_json() for kind, rate in win_rates(outcomes).items()},
            "p_value": sign_test(outcomes),
            "longer": sum(len(own["answer"]) > len(other["answer"]) for own, other in both) / len(both),
        }
    told["seconds"] = time.time() - began
    print(json.dumps(told), flush=True)


def _trained(source: Path, tokenizer: Any, pairs: Sequence[dict[str, Any]], steps: int) -> Any:
    on_gpu = torch.cuda.is_available()
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1, dtype=torch.float32)
    settings = RewardConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="cosine",
        num_train_epochs=1,
        max_steps=steps,
        max_length=LONGEST,
        bf16=on_gpu,
        use_cpu=not on_gpu,
        gradient_checkpointing=False,
        logging_steps=10,
        save_strategy="no",
        report_to=[],
        seed=0,
        disable_tqdm=True,
    )
    data = Dataset.from_list(list(pairs))
    trainer = RewardTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    return trainer


def _pairs(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every two answers that people did not rank alike."""
    for one, other in combinations(sorted(row["answers"], key=lambda answer: answer["rank"]), 2):
        if one["rank"] < other["rank"]:
            yield {
                "prompt": _asked(row["prompt"]),
                "chosen": _said(one["content"]),
                "rejected": _said(other["content"]),
            }


def _asked(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def _said(answer: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": answer}]


@torch.inference_mode()
def _scores(model: Any, tokenizer: Any, chats: Sequence[list[dict[str, str]]]) -> list[float]:
    """One number a chat, as the trainer writes it out."""
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    inputs = tokenizer(
        texts, add_special_tokens=False, truncation=True, max_length=LONGEST, padding=True, return_tensors="pt"
    )
    scores: list[float] = model(**inputs.to(model.device)).logits[:, 0].float().tolist()
    return scores


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
