"""By hand: one epoch of DPO by TRL. MODEL PAIRS TARGET SETTING.

Under `torchrun --nproc_per_node 2` the model is replicated on two GPUs.
"""

import json
import os
import time

BEGAN = time.time()
import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from setting import arguments  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from trl import DPOConfig, DPOTrainer  # noqa: E402


def main() -> None:
    source, pairs, target, setting = arguments()
    told = {"import": time.time() - BEGAN}
    at = time.time()

    def lap(name: str) -> None:
        nonlocal at
        told[name], at = time.time() - at, time.time()

    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source)
    settings = DPOConfig(
        output_dir=str(target / "work"),
        per_device_train_batch_size=setting.per_device,
        gradient_accumulation_steps=setting.batch // setting.per_device // int(os.environ.get("WORLD_SIZE", "1")),
        learning_rate=setting.learning_rate,
        lr_scheduler_type="cosine",
        num_train_epochs=1,
        beta=0.1,
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        max_length=2048,
        logging_steps=10,
        save_strategy="no",
        report_to=[],
        gradient_checkpointing=False,
        disable_tqdm=True,
    )
    data = Dataset.from_list(json.loads(pairs.read_text()))
    trainer = DPOTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)
    lap("load")
    trainer.train()
    lap("train")
    if not trainer.is_world_process_zero():
        return
    trainer.model.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
    lap("save")
    told |= {"total": time.time() - BEGAN, "pairs": len(data)}
    if torch.cuda.is_available():
        told["memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
