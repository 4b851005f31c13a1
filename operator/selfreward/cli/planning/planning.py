"""What a plan is about: which hardware, which model, how many rows; and the printing of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from selfreward_steps.contract import DataSource, ModelSource, shape_of
from selfreward_steps.contract.artifact_names import EVALUATION_JUDGE, JUDGE_MODEL

from selfreward.api import Keeping, SelfRewardRunSpec, ServingKeep
from selfreward.api.load import RunInvalid, label, load_run
from selfreward.api.mistakes import mistakes
from selfreward.cli.displays.terminal import echo
from selfreward.cli.errors import USAGE, CommandError
from selfreward.cli.machine.gpus import gpu_products, on_these_gpus, too_few
from selfreward.cli.machine.model_size import shape_on_disk
from selfreward.cli.planning.showing import document, show
from selfreward.cli.presets import preset_files
from selfreward.cli.showing import written
from selfreward.cluster.local.devices import share
from selfreward.estimate import GPUS, Assumptions, Hardware, ModelShape, Seeds, estimate_run, fitted
from selfreward.estimate.assumptions import Range
from selfreward.estimate.hardware import gpu_named
from selfreward.estimate.shape import typical
from selfreward.render.memory import GPU_PRODUCT_LABEL

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)([MB])", re.IGNORECASE)
_MIB: Final = 1 << 20
_MILLION: Final = 10**6
_BILLION: Final = 10**9


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command was asked for beside the file."""

    gpu: str | None
    gpus: int | None
    for_cluster: bool
    model: str | None
    lengths: str
    prompt_tokens: int
    instructions: int | None
    rankings: int | None


def show_plan(file: Path, overrides: Sequence[str], presets: Sequence[str], asked: Asked, output: str) -> int:
    """Print it; returns the exit code. Raises CommandError."""
    try:
        run = load_run(file, overrides, preset_files(presets), for_cluster=asked.for_cluster)
    except RunInvalid as error:
        raise CommandError(error.problems) from error
    spec = run.spec
    hardware, name = _hardware(spec, asked)
    problems = [*mistakes(spec), *too_few(spec, hardware.gpus)]
    if problems:
        raise CommandError([f"{label(file)}: {problem}" for problem in problems])
    spec = on_these_gpus(spec, [hardware.gpu.memory // _MIB])
    shape, others = _shapes(spec, asked)
    assumed = Assumptions(
        lengths=_range(asked.lengths),
        prompt_tokens=asked.prompt_tokens,
        seeds=_seeds(spec, asked.instructions, asked.rankings),
    )
    found = estimate_run(spec, shape, hardware, assumed, fitted(), others)
    if output == "table":
        show(run.metadata.name, name, spec, shape, hardware, assumed, found)
    else:
        echo(written(document(run.metadata.name, name, shape, hardware, assumed, found), output))
    for line in found.refusals:
        echo(f"{label(file)}: {line}", err=True)
    return USAGE if found.refusals else 0


def _range(text: str) -> Range:
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise CommandError([f"--lengths: {text}: give two shares such as 0.3:0.7"]) from error
    if not 0 < low <= high <= 1:
        raise CommandError([f"--lengths: {text}: both are shares of maxTokens, the lower one first"])
    return Range(low, high)


def _hardware(spec: SelfRewardRunSpec, asked: Asked) -> tuple[Hardware, str]:
    """What the run is planned for, and the GPU's name in :data:`GPUS`."""
    named = spec.workloads.training.node_selector.get(GPU_PRODUCT_LABEL, "")
    here = [] if asked.gpu or named or asked.for_cluster else gpu_products()
    if asked.gpu is not None and asked.gpu not in GPUS:
        raise CommandError([f"--gpu: {asked.gpu}: is not known here: one of {', '.join(GPUS)}"])
    name = asked.gpu or (gpu_named(named) if named else None) or (gpu_named(here[0]) if here else None)
    if name is None:
        what = f"{named or here[0]} is not known" if named or here else "nothing names one"
        raise CommandError([f"--gpu: is needed: {what}: one of {', '.join(GPUS)}"])
    least = max(
        spec.serving.tensor_parallel * spec.serving.replicas,
        spec.training.processes_per_node * spec.training.nodes,
    )
    gpus = asked.gpus or len(here) or least
    return Hardware(GPUS[name], gpus, _keeping(spec, gpus, for_cluster=asked.for_cluster)), name


def _keeping(spec: SelfRewardRunSpec, gpus: int, *, for_cluster: bool) -> Keeping:
    """As on this machine with so many GPUs, or as on a cluster that can do what the spec asks it for."""
    if for_cluster:
        from selfreward.cluster.kubernetes.devices import keeping_of  # with the client, which a machine needs not

        return keeping_of(spec, shares=spec.serving.device_class_name is not None)
    if spec.serving.keep is ServingKeep.NEVER or not spec.serving.runs_vllm:
        return Keeping.NEVER
    return share(spec, [str(place) for place in range(gpus)]).keeping


def _shapes(spec: SelfRewardRunSpec, asked: Asked) -> tuple[ModelShape, dict[str, ModelShape]]:
    """The base model's shape, and those of judges that the user brings, as far as this machine tells."""
    shape = _given_shape(asked.model) if asked.model else shape_on_disk(spec.model)
    if shape is None:
        raise CommandError(
            [
                f"--model: is needed: nothing on this machine tells the size of {spec.model.uri}: give it, such as 8B, "
                "or the path of its config.json"
            ]
        )
    judges: dict[str, ModelSource | None] = {
        JUDGE_MODEL: spec.judge.source,
        EVALUATION_JUDGE: spec.evaluation.judge.source,
    }
    found = {name: shape_on_disk(source) for name, source in judges.items() if source is not None}
    return shape, {name: each for name, each in found.items() if each is not None}


def _given_shape(model: str) -> ModelShape | None:
    size = _SIZE.fullmatch(model)
    if size is not None:
        return typical(int(float(size[1]) * (_BILLION if size[2] in "bB" else _MILLION)))
    path = Path(model)
    try:
        config = path / "config.json" if path.is_dir() else path
        shape = shape_of(json.loads(config.read_bytes()))
        if shape is not None or not path.is_dir():
            return shape or _unknown(model)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CommandError([f"--model: {model}: is no size such as 8B and no config.json of a model"]) from error
    return shape_on_disk(ModelSource(uri=path.resolve().as_uri()))


def _unknown(model: str) -> ModelShape:
    raise CommandError(
        [f"--model: {model}: this architecture's parameters are not counted here: give its size, such as 8B"]
    )


def _seeds(spec: SelfRewardRunSpec, instructions: int | None, rankings: int | None) -> Seeds:
    seeds = Seeds()
    data = spec.seed_data
    counted = {
        "instructions": instructions if instructions is not None else _rows(data.instructions),
        "rankings": rankings if rankings is not None else _rows(data.rankings),
    }
    return replace(seeds, **{name: count for name, count in counted.items() if count is not None})


def _rows(source: DataSource | None) -> int | None:
    """Rows of a file of JSON lines on this machine; None where it is something else."""
    if source is None or not source.uri.startswith("file://"):
        return None
    path = Path(unquote(urlsplit(source.uri).path))
    try:
        if path.suffix != ".jsonl":
            return None
        with path.open("rb") as file:
            count = sum(1 for line in file if line.strip())
    except OSError:
        return None
    limit = source.limit
    return count if limit is None else min(count, limit)
