"""The engine's own limit: the requests of the product's first iteration, all at once, each to its very length.

MODEL STORE OUT SETTING, where STORE is the run's folder of artifacts. Answers and judgements are asked for together,
since the answers that are judged are known: no client can be faster than that. With `--engines N` as many engines share
the GPU, each a process with its part of the memory and of the requests.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

BEGAN = time.time()
from selfreward.render.gpu_engine import NOT_COMPILED  # noqa: E402
from selfreward_steps.contract import JudgeSettings  # noqa: E402
from selfreward_steps.judging.templates import judge_template  # noqa: E402
from setting import JUDGE, arguments, engine_arguments, told_in  # noqa: E402
from vllm import LLM, SamplingParams  # noqa: E402

READY = "ready to be asked"
ARGUMENTS = ("script", "model", "store", "out", "setting")


def rows(store: Path, artifact: str, name: str) -> list[dict]:
    """The rows of a sharded artifact, by the prompt's id and the candidate."""
    files = sorted((store / "iteration-1" / artifact).glob(f"**/{name}"))
    return [json.loads(line) for file in files for line in file.open(encoding="utf-8")]


def main() -> None:
    _, _, _, setting = arguments()
    if setting.engines == 1:
        print(json.dumps(measured(0)), flush=True)
    elif len(sys.argv) > len(ARGUMENTS):
        print(json.dumps(measured(int(sys.argv[-1]))), flush=True)
    else:
        print(json.dumps(together(setting.engines)), flush=True)


def together(count: int) -> dict[str, float]:
    """So many engines at the same time: each is ready, and counts its memory alone, before the next is started."""
    engines = []
    for place in range(count):
        command = [sys.executable, *sys.argv, str(place)]
        engine = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        engines.append(engine)
        assert engine.stdout is not None
        while READY not in (line := engine.stdout.readline()):
            if not line:
                sys.exit(f"engine {place} ended with {engine.wait()}")
    for engine in engines:
        assert engine.stdin is not None
        print(file=engine.stdin, flush=True)
    told = [told_in(engine.communicate()[0]) for engine in engines]
    seconds = max(each["ended"] for each in told) - min(each["began"] for each in told)
    sums = {name: sum(each[name] for each in told) for name in ("engine", "requests", "tokens", "answer_tokens")}
    return {"engines": count, "seconds": seconds, **sums, "tokens_per_second": sums["tokens"] / seconds}


def measured(place: int) -> dict[str, float]:
    """One engine, which does every `engines`-th of the rows from `place` on; of several, when it is told to."""
    model, store, _, setting = arguments()
    share = {} if setting.engines == 1 else {"gpu_memory_utilization": 0.9 / setting.engines}
    # As the product starts it for so few answers: the limit of another engine would say nothing of the product.
    llm = LLM(str(model), compilation_config=NOT_COMPILED, **engine_arguments(setting) | share)
    engine = time.time() - BEGAN
    tokenizer, template = llm.get_tokenizer(), judge_template(JudgeSettings.model_validate(JUDGE))

    def exactly(text: str, most: int) -> SamplingParams:
        count = min(most, max(1, len(tokenizer(text, add_special_tokens=False).input_ids)))
        return SamplingParams(temperature=0.7, top_p=0.9, min_tokens=count, max_tokens=count, ignore_eos=True)

    asked, sampling = [], []
    every = rows(store, "responses", "responses.jsonl")[place :: setting.engines]
    answered = {row["id"]: row for row in every}
    for row in answered.values():
        for answer in row["candidates"]:
            asked.append([{"role": "user", "content": row["prompt"]}])
            sampling.append(exactly(answer["text"], setting.answer_tokens))
    answers = sum(each.max_tokens for each in sampling)
    for judged in rows(store, "judgements", "judgements.jsonl"):
        row = answered.get(judged["id"])
        if row is None:
            continue
        text = row["candidates"][judged["candidate"]]["text"]
        for critique in judged["critiques"]:
            asked.append([{"role": "user", "content": template.ask(row["prompt"], text)}])
            sampling.append(exactly(critique, setting.judgement_tokens))
    tokens = sum(each.max_tokens for each in sampling)
    if setting.engines > 1:
        print(READY, flush=True)
        sys.stdin.readline()
    began = time.time()
    llm.chat(asked, sampling, use_tqdm=False)
    ended = time.time()
    counts = {"requests": len(asked), "tokens": tokens, "answer_tokens": answers}
    times = {"engine": engine, "began": began, "ended": ended, "seconds": ended - began}
    return {**times, **counts, "tokens_per_second": tokens / (ended - began)}


if __name__ == "__main__":
    main()
