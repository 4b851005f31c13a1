"""What all parts of the benchmark have in common."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

JUDGE: Final[dict[str, Any]] = {
    "template": "custom",
    "customTemplate": {
        "text": (
            "User: {prompt}\n\n<response>\n{response}\n</response>\n\nHow many points out of 5 does the response to "
            "the user deserve? Answer with one number from 0 to 5, and give the reason in one sentence."
        ),
        "scorePattern": "([0-5])",
    },
}
"""A judge that a small instruction model can be, without having been trained to judge: any of its digits is a score."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Sizes of an iteration, and what the machine is asked for."""

    prompt_count: int = 1000
    candidates: int = 4
    judgements: int = 3
    answer_tokens: int = 512
    judgement_tokens: int = 64
    context: int = 4096
    iterations: int = 2
    learning_rate: float = 1e-6
    batch: int = 16
    per_device: int = 16
    """Pairs a forward pass on one GPU; 0: as many as the product takes by itself."""
    tensor_parallel: int = 1
    replicas: int = 1
    engines: int = 1
    """Of the part `limit`: how many share the GPU."""
    training_processes: int = 1
    sequential_prompts: int = 3
    seed: int = 7
    peak_tflops: float = 989.0
    """What the GPU does in dense bfloat16, in 10¹² operations a second (H100 and H200 SXM, NVIDIA's data sheet)."""
    extra: str = "{}"
    """More of the product's spec, as JSON, laid over what the benchmark writes."""


def engine_arguments(setting: Setting) -> dict[str, Any]:
    """What vLLM is started with, by hand and for the limit: the same engine, or the limit is not the script's."""
    return {
        "enable_prefix_caching": True,
        "max_num_seqs": 1024,
        "gpu_memory_utilization": 0.9,
        "generation_config": "vllm",
        "seed": setting.seed,
        "max_model_len": setting.context,
        "tensor_parallel_size": setting.tensor_parallel,
    }


def asked(parser: ArgumentParser, default: Setting) -> tuple[dict[str, Any], Setting]:
    """What the command line says: MODEL, PROMPTS and OUT, the parser's own options, and one for each size."""
    for place in ("model", "prompts", "out"):
        parser.add_argument(place, type=Path)
    for name, value in asdict(default).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = vars(parser.parse_args())
    return given, Setting(**{name: given[name] for name in asdict(default)})


def arguments() -> tuple[Path, Path, Path, Setting]:
    """What a script of the benchmark was called with."""
    first, second, third = map(Path, sys.argv[1:4])
    return first, second, third, Setting(**json.loads(sys.argv[4]))


def told_in(text: str) -> dict[str, Any]:
    """The last line of JSON that a script printed: its result. Engines say goodbye after it."""
    *_, told = (line for line in text.splitlines() if line.startswith("{"))
    result: dict[str, Any] = json.loads(told)
    return result


def put_product_first() -> None:
    """Let the processes that are started import the product of this checkout, and then whatever their path named."""
    here = Path(__file__).parent
    own = [str(here.parents[1] / "operator"), str(here.parents[1] / "images"), str(here)]
    os.environ["PYTHONPATH"] = os.pathsep.join([*own, os.environ.get("PYTHONPATH", "")])


def first_prompts(file: Path, out: Path, setting: Setting) -> Path:
    """The first prompts of a file, as all parts read them: those of the first iteration, then those of the second."""
    count = setting.prompt_count * setting.iterations
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[:count]]
    if len(rows) < count:
        sys.exit(f"{file}: {len(rows)} prompts, {count} are needed: lower --prompt-count or --iterations")
    target = out / "prompts.jsonl"
    target.write_text("".join(json.dumps({"prompt": row["prompt"]}) + "\n" for row in rows), encoding="utf-8")
    return target
