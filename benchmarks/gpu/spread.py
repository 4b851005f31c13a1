"""One run spread over the GPUs of a machine in several ways: `python benchmarks/gpu/spread.py MODEL PROMPTS OUT`.

The same model, prompts, numbers and seeds, by the product, as one of these:

* `one`: server and training on one GPU, in turns;
* `sharded`: on two, in turns: one engine, training sharded over both;
* `replicas`: on two, in turns: two engines behind one address, training sharded over both;
* `tensor`: on two, in turns: each of the server's matrices split over both, training sharded over both;
* `apart`: on two: the server on one, awake all the time, training on the other.

OUT gets a folder and a JSON file for each, and `table.md` with all that are there. A variant whose file is there is not
run again; one that was cut off goes on with the same command, and the iteration that it was in is marked. Weights are
removed at the end of each run, since the disk may not hold those of all.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "operator"), str(ROOT / "images")]

from busy import Busy, largest  # noqa: E402
from product import NAME, drop_weights, run_product  # noqa: E402
from setting import Setting, asked, first_prompts, put_product_first  # noqa: E402
from watch import Watch, Watched  # noqa: E402


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to spread a run."""

    gpus: int
    setting: Mapping[str, Any] = field(default_factory=dict)


VARIANTS: Final = {
    "one": Variant(1),
    "sharded": Variant(2, {"training_processes": 2}),
    "replicas": Variant(2, {"replicas": 2, "training_processes": 2}),
    "tensor": Variant(2, {"tensor_parallel": 2, "training_processes": 2}),
    "apart": Variant(2),
}
DEFAULT: Final = Setting(prompt_count=200, per_device=4)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", default=",".join(VARIANTS), help="which to run, in this order")
    parser.add_argument("--gpus", default="0,1", help="the GPUs; the first variants take the first of them")
    given, setting = asked(parser, DEFAULT)
    out: Path = given["out"].resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name in filter(None, given["variants"].split(",")):
        variant = VARIANTS[name]
        gpus = ",".join(given["gpus"].split(",")[: variant.gpus])
        measure(name, gpus, given["model"].resolve(), given["prompts"], out, replace(setting, **variant.setting))
        found = {name: json.loads(file.read_text()) for name in VARIANTS if (file := out / f"{name}.json").exists()}
        (out / "table.md").write_text(table(found))
    print((out / "table.md").read_text())
    return 0


def measure(name: str, gpus: str, model: Path, prompts: Path, out: Path, setting: Setting) -> None:
    """Walk the run of one variant to its end and write its file, if it is not there."""
    result, folder = out / f"{name}.json", out / name
    if result.exists():
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    put_product_first()
    folder.mkdir(parents=True, exist_ok=True)
    csv, watched = folder / "gpu.csv", folder / "watch.jsonl"
    with Busy(csv, gpus), Watch(watched, folder / NAME):
        told = run_product(model, first_prompts(prompts, folder, setting), folder, setting)
    found = {"setting": asdict(setting), "gpus": gpus, **told, **seen(told, csv, watched)}
    result.write_text(json.dumps(found, indent=1))
    drop_weights(folder)


def seen(told: Mapping[str, Any], csv: Path, watched: Path) -> dict[str, Any]:
    """What was seen from outside in the windows of a finished run."""
    watch, found = Watched.read(watched), []
    for number in range(1, len(told["iterations"]) + 1):
        parts = ("generation", "training", "iteration")
        serving, training, whole = (told["windows"][f"{part} {number}"] for part in parts)
        found.append(
            {
                "interrupted": watch.interrupted(whole),
                "steps_per_second": watch.steps_per_second(f"dpo-{number}", training),
                "serving_mib": largest(csv, serving),
                "training_mib": largest(csv, training),
            }
        )
    return {"seen": found}


Read = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], float | None]
"""From a variant, one of its iterations and what was seen of it."""


def made_per_second(_: Mapping[str, Any], iteration: Mapping[str, Any], __: Mapping[str, Any]) -> float | None:
    """Tokens of answers and judgements, over the time in which the server was asked for them."""
    made = sum(iteration["metrics"][step].get("completion_tokens", 0) for step in ("respond", "judge"))
    return made / (iteration["answers"] + iteration["judgements_after"]) if made else None


def steady_examples(told: Mapping[str, Any], _: Mapping[str, Any], seen: Mapping[str, Any]) -> float | None:
    """Pairs a second from one optimiser step to the next."""
    return None if seen["steps_per_second"] is None else seen["steps_per_second"] * told["setting"]["batch"]


def _pairs(iteration: Mapping[str, Any], seconds: float) -> float:
    return float(iteration["metrics"]["dpo"]["examples"] / seconds)


def _part(name: str) -> Read:
    return lambda _, iteration, __: iteration["metrics"]["dpo"].get(f"{name}_seconds")


def _starting(_: Mapping[str, Any], iteration: Mapping[str, Any], __: Mapping[str, Any]) -> float:
    """Processes that start and import, before, and the commit, after what the step itself has timed."""
    metrics = iteration["metrics"]["dpo"]
    return float(
        iteration["training"] - sum(metrics.get(f"{part}_seconds", 0.0) for part in ("loading", "training", "export"))
    )


ROWS: Final[tuple[tuple[str, str, Read], ...]] = (
    ("answers and judgements, tokens/s", "{:,.0f}", made_per_second),
    ("training, steady, pairs/s", "{:.2f}", steady_examples),
    ("training, loaded, pairs/s", "{:.2f}", lambda _, it, __: _pairs(it, it["metrics"]["dpo"]["training_seconds"])),
    ("training, from pairs to model, pairs/s", "{:.2f}", lambda _, it, __: _pairs(it, it["training"])),
    ("pairs trained on", "{:.0f}", lambda _, it, __: it["metrics"]["dpo"].get("examples")),
    ("server, s", "{:.1f}", lambda _, it, __: it["serving"]),
    ("answers, s", "{:.1f}", lambda _, it, __: it["answers"]),
    ("judgements after them, s", "{:.1f}", lambda _, it, __: it["judgements_after"]),
    ("pairs, s", "{:.1f}", lambda _, it, __: it["pairs"]),
    ("DPO: starting and committing, s", "{:.1f}", _starting),
    ("DPO: data and model, s", "{:.1f}", _part("loading")),
    ("DPO: training, s", "{:.1f}", _part("training")),
    ("DPO: export, measuring, s", "{:.1f}", _part("export")),
    ("model to next model, s", "{:.1f}", lambda _, it, __: it["model_to_model"]),
)
RATIOS: Final[tuple[tuple[str, Read, bool], ...]] = (
    ("answers and judgements", made_per_second, True),
    ("training, steady", steady_examples, True),
    ("training, from pairs to model", lambda _, it, __: _pairs(it, it["training"]), True),
    ("model to next model", lambda _, it, __: it["model_to_model"], False),
)
"""What is compared with one GPU, how, and whether more of it is better."""


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a column for each variant and iteration."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    places = [(name, number) for name, told in found.items() for number in range(len(told["iterations"]))]
    heads = [f"{name}, {number + 1}.{_mark(found[name], number)}" for name, number in places]
    yield f"| | {' | '.join(heads)} |"
    yield "| --- |" + " --- |" * len(heads)
    for words, form, read in ROWS:
        values = [_value(found[name], number, read) for name, number in places]
        yield f"| {words} | {' | '.join('' if each is None else form.format(each) for each in values)} |"
    for words, key in (("serving", "serving_mib"), ("training", "training_mib")):
        cells = [_gib(found[name]["seen"][number][key]) for name, number in places]
        yield f"| largest memory of each GPU, {words}, GiB | {' | '.join(cells)} |"
    if "one" in found:
        for words, read, more in RATIOS:
            cells = [_times(found, name, number, read, more=more) for name, number in places]
            yield f"| times as fast as on one GPU: {words} | {' | '.join(cells)} |"
    if any(seen["interrupted"] for told in found.values() for seen in told["seen"]):
        yield "\n\\*: was cut off and went on: its seconds say nothing."


def _mark(told: Mapping[str, Any], number: int) -> str:
    return " \\*" if told["seen"][number]["interrupted"] else ""


def _value(told: Mapping[str, Any], number: int, read: Read) -> float | None:
    return read(told, told["iterations"][number], told["seen"][number])


def _times(found: Mapping[str, Mapping[str, Any]], name: str, number: int, read: Read, *, more: bool) -> str:
    if number >= len(found["one"]["iterations"]):
        return ""
    own, one = (_value(found[each], number, read) for each in (name, "one"))
    if not own or not one:
        return ""
    return f"{own / one if more else one / own:.2f}"


def _gib(mib: Mapping[str, float]) -> str:
    return ", ".join(f"{mib[gpu] / 1024:.1f}" for gpu in sorted(mib))


if __name__ == "__main__":
    sys.exit(main())
