"""By hand: answers, judgements and pairs of one iteration, by vLLM in this process. MODEL PROMPTS PAIRS SETTING."""

import json
import time

BEGAN = time.time()
from selfreward_steps.contract import JudgeSettings  # noqa: E402
from selfreward_steps.judging.templates import judge_template  # noqa: E402
from setting import JUDGE, arguments, engine_arguments  # noqa: E402
from vllm import LLM, SamplingParams  # noqa: E402


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def main() -> None:
    model, prompts_file, target, setting = arguments()
    prompts = [json.loads(line)["prompt"] for line in prompts_file.open(encoding="utf-8")]
    told = {"import": time.time() - BEGAN}
    at = time.time()

    def lap(name: str) -> None:
        nonlocal at
        told[name], at = time.time() - at, time.time()

    llm = LLM(str(model), **engine_arguments(setting))
    lap("engine")
    sampling = SamplingParams(
        n=setting.candidates, temperature=0.7, top_p=0.9, max_tokens=setting.answer_tokens, seed=setting.seed
    )
    answered = llm.chat([chat(prompt) for prompt in prompts], sampling, use_tqdm=False)
    answers = [[output.text for output in request.outputs] for request in answered]
    lap("answers")
    told["answer_tokens"] = sum(len(output.token_ids) for request in answered for output in request.outputs)
    template = judge_template(JudgeSettings.model_validate(JUDGE))
    places = [(row, candidate) for row in range(len(prompts)) for candidate in range(setting.candidates)]
    asked = [chat(template.ask(prompts[row], answers[row][candidate])) for row, candidate in places]
    sampling = SamplingParams(
        n=setting.judgements, temperature=0.7, top_p=0.9, max_tokens=setting.judgement_tokens, seed=setting.seed
    )
    judged = llm.chat(asked, sampling, use_tqdm=False)
    lap("judgements")
    told["judgement_tokens"] = sum(len(output.token_ids) for request in judged for output in request.outputs)
    scores = {}
    for place, request in zip(places, judged, strict=True):
        stated = [score for output in request.outputs if (score := template.read(output.text)) is not None]
        if stated:
            scores[place] = sum(stated) / len(stated)
    pairs = []
    for row, prompt in enumerate(prompts):
        ranked = sorted((scores[row, c], c) for c in range(setting.candidates) if (row, c) in scores)
        if len(ranked) > 1 and ranked[0][0] < ranked[-1][0]:
            worst, best = answers[row][ranked[0][1]], answers[row][ranked[-1][1]]
            pairs.append(
                {
                    "prompt": chat(prompt),
                    "chosen": [{"role": "assistant", "content": best}],
                    "rejected": [{"role": "assistant", "content": worst}],
                }
            )
    target.write_text(json.dumps(pairs))
    lap("pairs_written")
    told["pairs"] = len(pairs)
    told["total"] = time.time() - BEGAN
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
