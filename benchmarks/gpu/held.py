"""What a run takes, beside what it was said to take: `python benchmarks/gpu/held.py MODEL PROMPTS OUT`.

One iteration with full fine-tuning by DPO, sharded over two processes, with gradient checkpointing and a reference
that is measured beforehand. `selfreward validate` and `selfreward plan` are asked first; then the run is walked, and
what the driver says of the GPUs and the kernel of its processes is noted. OUT gets `plan.json`, `held.json` and
`table.md`. A run that was cut off goes on with the same command.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "operator"), str(ROOT / "images")]

from busy import Busy, largest  # noqa: E402
from processes import SERVER  # noqa: E402
from product import CLI, NAME, drop_weights, moment, prepared, run_product  # noqa: E402
from setting import Setting, asked, first_prompts, put_product_first  # noqa: E402
from watch import Watch, Watched  # noqa: E402

_GIB: Final = 1 << 30
_SERVED: Final = "serving m0"
DEFAULT: Final = Setting(
    prompt_count=64,
    iterations=1,
    per_device=4,
    tensor_parallel=2,
    training_processes=2,
    extra=json.dumps({"training": {"dpo": {"gradientCheckpointing": True, "precomputeRefLogProbs": True}}}),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", default="0,1")
    parser.add_argument("--gpu", default="h200", help="what the plan is asked for")
    given, setting = asked(parser, DEFAULT)
    out: Path = given["out"].resolve()
    folder = out / "run"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["CUDA_VISIBLE_DEVICES"] = given["gpus"]
    put_product_first()
    prompts = first_prompts(given["prompts"], out, setting)
    model: Path = given["model"].resolve()
    plan, held = out / "plan.json", out / "held.json"
    if not plan.exists():
        prepared(model, prompts, folder, setting)
        count = len(given["gpus"].split(","))
        plan.write_text(json.dumps(planned(folder / "run.json", given["gpu"], count), indent=1))
    if not held.exists():
        with Busy(folder / "gpu.csv", given["gpus"]), Watch(folder / "watch.jsonl", folder / NAME):
            told = run_product(model, prompts, folder, setting)
        held.write_text(json.dumps({"setting": asdict(setting), **told, "steps": measured(folder)}, indent=1))
        drop_weights(folder)
    (out / "table.md").write_text(table(json.loads(plan.read_text()), json.loads(held.read_text())))
    print((out / "table.md").read_text())
    return 0


def planned(file: Path, gpu: str, count: int) -> dict[str, Any]:
    """What `validate` and `plan` say of the run before it begins."""
    valid = subprocess.run([*CLI, "validate", str(file)], capture_output=True, text=True)
    command = [*CLI, "plan", str(file), "--gpu", gpu, "--gpus", str(count), "-o", "json"]
    plan = subprocess.run(command, capture_output=True, text=True)
    if not plan.stdout:
        sys.exit(plan.stderr)
    return {
        "validate": {"code": valid.returncode, "said": (valid.stdout + valid.stderr).strip()},
        "plan": {"code": plan.returncode, "said": plan.stderr.strip(), **json.loads(plan.stdout)},
    }


def measured(folder: Path) -> dict[str, Any]:
    """What each step and server was seen to take: seconds, memory of GPUs and of the host."""
    record = json.loads((folder / NAME / "status.json").read_text())
    rows = [row for part in record["status"]["iterations"] for row in part["steps"]]
    windows = {row["key"]: (moment(row["startedAt"]), moment(row["finishedAt"])) for row in rows}
    roles = {row["key"]: row["step"] for row in rows}
    windows[_SERVED], roles[_SERVED] = (windows["import"][1], windows["judge-1"][1]), SERVER
    # It is said how long a server takes to start, and what it holds as long as it serves.
    starting = windows["respond-1"][0] - max(windows["import"][1], windows["prompts-1"][1])
    watch = Watched.read(folder / "watch.jsonl")
    return {
        key: {
            "seconds": starting if key == _SERVED else window[1] - window[0],
            "interrupted": watch.interrupted(window),
            "host": watch.host(roles[key], window),
            "held_mib": watch.held(roles[key], window),
            # The engine has given its memory back when the training begins; a look may be a second late.
            "gpu_mib": largest(folder / "gpu.csv", (window[0] + 1, window[1])),
        }
        for key, window in windows.items()
    }


def table(plan: Mapping[str, Any], held: Mapping[str, Any]) -> str:
    """Markdown: a row for each step and server, what was planned, what was measured, and the ratio."""
    return "\n".join(_lines(plan, held)) + "\n"


def _lines(plan: Mapping[str, Any], held: Mapping[str, Any]) -> Iterator[str]:
    validate, planned = plan["validate"], plan["plan"]
    yield f"`selfreward validate`, exit code {validate['code']}: {validate['said']}\n"
    for line in [*planned["warnings"], *planned["refusals"]]:
        yield f"`selfreward plan`: {line}\n"
    yield (
        "| | GPU, planned, GiB | each GPU in use | ratio | of this part's processes | host, planned, GiB | "
        "resident | ratio | anonymous and shared | largest process | processes | planned, s | measured, s |"
    )
    yield "| --- |" + " --- |" * 12
    for row in planned["steps"]:
        if row["step"] in held["steps"]:
            cells = _cells(row, held["steps"][row["step"]])
            yield f"| {row['step']} | {' | '.join(cells)} |"


def _cells(row: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    gpu, host = row["gpuBytes"], seen["host"]
    used = [mib * (1 << 20) for mib in seen["gpu_mib"].values()] if gpu else []
    own = [mib * (1 << 20) for mib in seen["held_mib"].values()]
    seconds = row["seconds"]
    return [
        _gib(gpu) if gpu else "",
        ", ".join(_gib(each) for each in used),
        _ratio(max(used, default=0), gpu),
        ", ".join(_gib(each) for each in own),
        _gib(row["hostBytes"]),
        _gib(host["rss"]),
        _ratio(host["rss"], row["hostBytes"]),
        _gib(host["own"]),
        _gib(host["largest"]),
        str(host["processes"]),
        f"{seconds['low']:.0f}–{seconds['high']:.0f}",
        f"{seen['seconds']:.0f}{' (cut off)' if seen['interrupted'] else ''}",
    ]


def _gib(count: float) -> str:
    return f"{count / _GIB:.1f}"


def _ratio(measured: float, planned: float) -> str:
    return f"{measured / planned:.2f}" if measured and planned else ""


if __name__ == "__main__":
    sys.exit(main())
