"""A self-rewarding run against what a good engineer writes by hand: `python benchmarks/gpu MODEL PROMPTS OUT`.

On one machine, with the same model, prompts, numbers, lengths, pairs' rule and seeds:

* `product`: `selfreward run`, two iterations from the base model;
* `script`: vLLM offline for answers and judgements, then TRL, each a process, twice (`by_hand_*.py`);
* `limit`: the engine alone, on the very requests of the product's first iteration, all at once;
* `sequential`: `generate` of transformers, one prompt at a time, on a few prompts, scaled to all.

MODEL is a folder, PROMPTS a file of rows with `prompt`. OUT gets a folder for each part, `results.json` and `table.md`;
a part whose result is there is not run again. Each part is a process, with the GPUs that `--gpus` names.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
sys.path.insert(0, str(HERE))

from busy import Busy  # noqa: E402
from product import run_product  # noqa: E402
from setting import Setting, asked, first_prompts, put_product_first, told_in  # noqa: E402
from table import table  # noqa: E402

PARTS: Final = ("product", "script", "limit", "sequential")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="which to run, in this order")
    parser.add_argument("--gpus", default=os.environ.get("CUDA_VISIBLE_DEVICES", "0"))
    given, setting = asked(parser, Setting())
    out: Path = given["out"].resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / "setting.json").write_text(json.dumps(asdict(setting), indent=1))
    model, prompts = given["model"].resolve(), first_prompts(given["prompts"], out, setting)
    os.environ["CUDA_VISIBLE_DEVICES"] = given["gpus"]
    put_product_first()
    for part in filter(None, given["parts"].split(",")):
        result = out / f"{part}.json"
        if not result.exists():
            with Busy(out / f"{part}.gpu.csv", given["gpus"]) as busy:
                measured = measure(part, model, prompts, out, setting)
            result.write_text(json.dumps({**measured, "gpu": busy.shares(measured)}, indent=1))
        print(part, result.read_text(), flush=True)
    found = {part: json.loads((out / f"{part}.json").read_text()) for part in PARTS if (out / f"{part}.json").exists()}
    (out / "results.json").write_text(json.dumps({"setting": asdict(setting), **found}, indent=1))
    (out / "table.md").write_text(table(setting, found))
    print((out / "table.md").read_text())
    return 0


def measure(part: str, model: Path, prompts: Path, out: Path, setting: Setting) -> dict[str, Any]:
    """Run one part; the seconds of its phases, and what it made."""
    match part:
        case "product":
            return run_product(model, prompts, out / "product", setting)
        case "script":
            return by_hand(model, prompts, out / "script", setting)
        case "limit":
            store = next((out / "product" / "artifacts").glob("*/*/"))
            return child("engine_limit.py", model, store, out, setting)
        case "sequential":
            return child("sequential.py", model, prompts, out, setting)
    raise ValueError(part)


def by_hand(model: Path, prompts: Path, folder: Path, setting: Setting) -> dict[str, Any]:
    """Answers, judgements and pairs in one process, training in the next, as often as there are iterations."""
    folder.mkdir(parents=True, exist_ok=True)
    iterations = []
    for number in range(1, setting.iterations + 1):
        pairs, trained = folder / f"pairs-{number}.json", folder / f"m{number + 1}"
        own = folder / f"prompts-{number}.jsonl"
        lines = prompts.read_text(encoding="utf-8").splitlines(keepends=True)
        own.write_text("".join(lines[(number - 1) * setting.prompt_count : number * setting.prompt_count]))
        generated = child("by_hand_generate.py", model, own, pairs, setting)
        iterations.append({"generate": generated, "train": child("by_hand_train.py", model, pairs, trained, setting)})
        model = trained
    return {"iterations": iterations}


def child(script: str, first: Path, second: Path, third: Path, setting: Setting) -> dict[str, Any]:
    """Run a script in a process of its own; its result."""
    third.parent.mkdir(parents=True, exist_ok=True)
    log = third.parent / f"{Path(script).stem}.{third.stem}.log"
    command = [sys.executable, str(HERE / script), str(first), str(second), str(third), json.dumps(asdict(setting))]
    with log.open("w") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=True)
    return told_in(log.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
