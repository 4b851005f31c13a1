"""`selfreward validate`, and the checks that `selfreward run` makes before it begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from selfreward.api import SelfRewardRun, SelfRewardRunSpec
from selfreward.api.load import RunInvalid, label, load_run
from selfreward.api.mistakes import mistakes
from selfreward.cli.errors import CommandError
from selfreward.cli.machine.gpus import gpu_memory, on_these_gpus, too_few
from selfreward.cli.machine.model_size import parameters_of
from selfreward.cli.machine.mounts import unmounted
from selfreward.cli.machine.preflight import missing
from selfreward.cli.presets import preset_files
from selfreward.plan import build_graph
from selfreward.render.memory import memory_limits


def loaded(
    path: Path, overrides: Sequence[str], presets: Sequence[str] = (), *, for_cluster: bool = False
) -> SelfRewardRun:
    """The run in the file, with presets over it, if all that can be checked at once is right; raises CommandError.

    `for_cluster`, what is on this machine does not matter, and what a pod is given does.
    """
    try:
        run = load_run(path, overrides, preset_files(presets), for_cluster=for_cluster)
    except RunInvalid as error:
        raise CommandError(error.problems) from error
    problems = [f"{label(path)}: {problem}" for problem in _problems(run.spec, for_cluster=for_cluster)]
    if problems:
        raise CommandError(problems)
    return run


def validate_file(
    path: Path, overrides: Sequence[str], presets: Sequence[str] = (), *, for_cluster: bool = False
) -> str:
    """One line that says what the run would be; raises CommandError with one line a problem."""
    run = loaded(path, overrides, presets, for_cluster=for_cluster)
    steps = build_graph(run.spec).nodes
    iterations = f"{run.spec.iterations} iteration{'s' if run.spec.iterations > 1 else ''}"
    return f"{label(path)}: run {run.metadata.name} is valid: {iterations}, {len(steps)} steps"


def _problems(spec: SelfRewardRunSpec, *, for_cluster: bool) -> Iterator[str]:
    found = list(mistakes(spec))
    yield from found
    if found:
        return  # an address that leads nowhere is not looked for as well
    if for_cluster:
        yield from unmounted(spec)
    else:
        memory = gpu_memory()
        yield from missing(spec)
        yield from too_few(spec, len(memory))
        spec = on_these_gpus(spec, memory)
    yield from _too_large(spec)


def _too_large(spec: SelfRewardRunSpec) -> Iterator[str]:
    """What cannot fit, where the model's size is known already; where not, the import tells."""
    limits = memory_limits(spec)
    parameters = parameters_of(spec.model) if limits else None
    if parameters is not None:
        yield from (refusal for limit in limits if (refusal := limit.refusal(parameters)) is not None)
