"""The engine's own limit: the requests of the product's first iteration, all at once, each to its very length.

MODEL STORE OUT SETTING, where STORE is the run's folder of artifacts. Answers and judgements are asked for together,
since the answers that are judged are known: no client can be faster than that.
"""

import json
import time
from pathlib import Path

BEGAN = time.time()
from selfreward.render.gpu_engine import NOT_COMPILED  # noqa: E402
from selfreward_steps.contract import JudgeSettings  # noqa: E402
from selfreward_steps.judging.templates import judge_template  # noqa: E402
from setting import JUDGE, arguments, engine_arguments  # noqa: E402
from vllm import LLM, SamplingParams  # noqa: E402


def rows(store: Path, artifact: str, name: str) -> list[dict]:
    """The rows of a sharded artifact, by the prompt's id and the candidate."""
    files = sorted((store / "iteration-1" / artifact).glob(f"**/{name}"))
    return [json.loads(line) for file in files for line in file.open(encoding="utf-8")]


def main() -> None:
    model, store, _, setting = arguments()
    # As the product starts it for so few answers: the limit of another engine would say nothing of the product.
    llm = LLM(str(model), compilation_config=NOT_COMPILED, **engine_arguments(setting))
    engine = time.time() - BEGAN
    tokenizer, template = llm.get_tokenizer(), judge_template(JudgeSettings.model_validate(JUDGE))

    def exactly(text: str, most: int) -> SamplingParams:
        count = min(most, max(1, len(tokenizer(text, add_special_tokens=False).input_ids)))
        return SamplingParams(temperature=0.7, top_p=0.9, min_tokens=count, max_tokens=count, ignore_eos=True)

    asked, sampling = [], []
    answered = {row["id"]: row for row in rows(store, "responses", "responses.jsonl")}
    for row in answered.values():
        for answer in row["candidates"]:
            asked.append([{"role": "user", "content": row["prompt"]}])
            sampling.append(exactly(answer["text"], setting.answer_tokens))
    answers = sum(each.max_tokens for each in sampling)
    for judged in rows(store, "judgements", "judgements.jsonl"):
        row = answered[judged["id"]]
        text = row["candidates"][judged["candidate"]]["text"]
        for critique in judged["critiques"]:
            asked.append([{"role": "user", "content": template.ask(row["prompt"], text)}])
            sampling.append(exactly(critique, setting.judgement_tokens))
    tokens = sum(each.max_tokens for each in sampling)
    at = time.time()
    llm.chat(asked, sampling, use_tqdm=False)
    seconds = time.time() - at
    told = {"engine": engine, "seconds": seconds, "requests": len(asked), "tokens": tokens, "answer_tokens": answers}
    print(json.dumps(told | {"tokens_per_second": tokens / seconds}), flush=True)


if __name__ == "__main__":
    main()
