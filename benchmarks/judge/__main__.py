"""A real model as its own judge, against people's rankings: `python benchmarks/judge MODEL RANKINGS OUT`.

* `run`: `selfreward run`, two iterations; what its own evaluation says of each model as a judge, on ranked prompts that
  no step has trained on;
* `reward`: another judge of the models' answers, a reward model trained from MODEL on the other rankings (`reward.py`);
* `modes`: seconds of the step `judge` by comparison beside critiques, at as many judgements of the same answers
  (`modes.py`). It needs no other part, and may run beside them on another GPU.

MODEL is a folder, RANKINGS a file of people's rankings, an answer a row with `prompt_id`, `prompt_text`,
`response_text` and `quality_score` (Open Assistant's). OUT gets the run, a file for each part and `table.md`; a part
whose file is there is not run again, and a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
PARTS: Final = ("run", "reward", "modes")
sys.path.insert(0, str(HERE))

from real_run import artifacts, judges, walk  # noqa: E402
from table import table  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("rankings", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS), help="which to run, in this order")
    parser.add_argument("--prompts", type=int, default=400, help="of each iteration, and of `modes`")
    parser.add_argument("--answer-tokens", type=int, default=256)
    parser.add_argument("--judge-tokens", type=int, default=128, help="the most of a judgement of `modes`, both ways")
    parser.add_argument("--reward-steps", type=int, default=-1, help="fewer than one pass over the pairs, for a trial")
    parser.add_argument("--set", action="append", default=[], help="more of the run: spec.FIELD=VALUE; repeatable")
    given = parser.parse_args()
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    model, rankings = given.model.resolve(), given.rankings.resolve()
    for part in filter(None, given.parts.split(",")):
        if not (out / f"{part}.json").exists():
            measured = measure(part, model, rankings, out, given)
            (out / f"{part}.json").write_text(json.dumps(measured, indent=1))
    found = {part: json.loads((out / f"{part}.json").read_text()) for part in PARTS if (out / f"{part}.json").exists()}
    (out / "table.md").write_text(table(found))
    print((out / "table.md").read_text())
    return 0


def measure(part: str, model: Path, rankings: Path, out: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Run one part; raises CalledProcessError when it fails, whose log says why."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "operator"), str(ROOT / "images"), os.environ.get("PYTHONPATH", "")]),
        "HF_HUB_OFFLINE": "1",
    }
    match part:
        case "run":
            seconds = walk(model, rankings, out, given.prompts, given.answer_tokens, given.set, environment)
            return {"seconds": seconds, "models": judges(artifacts(out))}
        case "reward":
            return child("reward.py", [model, artifacts(out), given.reward_steps], out, environment)
        case "modes":
            sizes = [given.prompts, given.answer_tokens, given.judge_tokens]
            return child("modes.py", [model, rankings, out / "modes", *sizes], out, environment)
    raise ValueError(part)


def child(script: str, arguments: list[Any], out: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run a script in a process of its own; the last line of JSON that it prints is its result."""
    log = out / f"{Path(script).stem}.log"
    with log.open("w") as file:
        command = [sys.executable, str(HERE / script), *map(str, arguments)]
        ended = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False)
    if ended.returncode:
        sys.exit(f"{script} failed: see {log}")
    *_, told = (line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{"))
    result: dict[str, Any] = json.loads(told)
    return result


if __name__ == "__main__":
    sys.exit(main())
