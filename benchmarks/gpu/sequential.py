"""One prompt at a time by transformers' `generate`, as published reimplementations do it. MODEL PROMPTS OUT SETTING."""

import json
import time

import torch
from selfreward_steps.contract import JudgeSettings
from selfreward_steps.judging.templates import judge_template
from setting import JUDGE, arguments
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    source, prompts_file, _, setting = arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16).to(device).eval()
    tokenizer = AutoTokenizer.from_pretrained(source)
    template = judge_template(JudgeSettings.model_validate(JUDGE))

    def generate(text: str, count: int, tokens: int) -> list[str]:
        chat = [{"role": "user", "content": text}]
        asked = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            made = model.generate(
                **asked.to(device),
                do_sample=True,
                temperature=0.7,
                top_p=0.9,
                max_new_tokens=tokens,
                num_return_sequences=count,
                pad_token_id=tokenizer.eos_token_id,
            )
        return tokenizer.batch_decode(made[:, asked["input_ids"].shape[1] :], skip_special_tokens=True)

    prompts = [json.loads(line)["prompt"] for line in prompts_file.open(encoding="utf-8")]
    generate(prompts[0], setting.candidates, 8)
    at = time.time()
    for prompt in prompts[: setting.sequential_prompts]:
        for answer in generate(prompt, setting.candidates, setting.answer_tokens):
            generate(template.ask(prompt, answer), setting.judgements, setting.judgement_tokens)
    seconds = time.time() - at
    count = min(len(prompts), setting.sequential_prompts)
    told = {"prompts": count, "seconds": seconds, "scaled_seconds": seconds / count * len(prompts)}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
