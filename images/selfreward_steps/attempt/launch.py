"""One attempt at one step, from the configuration in the environment to the result and the exit code.

Everything that ends an attempt passes through here, so that the user always gets one line and the operator always
gets a :class:`StepResult`. It must stay light, and import a step's module only once that step is to run.
"""

from __future__ import annotations

import errno
import importlib
import math
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from pydantic import ValidationError

from selfreward_steps import identity
from selfreward_steps.attempt.inputs import resolve
from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.attempt.reporting import report
from selfreward_steps.attempt.runtime import StepContext, StepOutcome, rank_from
from selfreward_steps.attempt.wording import ROOM, in_users_words
from selfreward_steps.contract import (
    ALREADY_COMMITTED,
    CONFIG_VARIABLE,
    SCRATCH_VARIABLE,
    SHARD_VARIABLE,
    ExitCode,
    FailureClass,
    StepConfig,
    StepName,
    StepResult,
    artifact_names,
    parse_config,
)
from selfreward_steps.credentials import without_credentials
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError
from selfreward_steps.json_text import writable
from selfreward_steps.store import Manifest, Store, open_store
from selfreward_steps.store.digests import digest_of

DEFAULT_SCRATCH = "/tmp/selfreward"

_NO_LIBRARY: Final = "cannot open shared object file"
"""The words of ld.so, as torch passes them on when it loads CUDA's libraries itself."""
MODULES: Final[Mapping[StepName, str]] = {
    StepName.IMPORT: "import_step",
    StepName.SFT_BASELINE: "sft",
    StepName.EFT: "eft",
    StepName.SFT: "sft",
    StepName.PROMPTS: "prompts",
    StepName.RESPOND: "respond",
    StepName.JUDGE: "judge",
    StepName.PAIRS: "pairs",
    StepName.DPO: "dpo",
    StepName.SELECT: "select",
    StepName.EVALUATE: "evaluate",
    StepName.PUBLISH: "publish",
}

Run = Callable[[StepContext[Any]], StepOutcome]


class Stopped(SystemExit):
    """SIGTERM or SIGINT: a SystemExit, so that no step's error handling takes it for a failure of its own."""


def main(arguments: Sequence[str]) -> int:
    """Run the step that `arguments` names; returns the exit code (see :class:`ExitCode`)."""
    started = time.time()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        config, shard = _configuration(arguments, os.environ)
    except PermanentError as error:
        # Without a configuration there is no step to report for: the line and the exit code must do.
        print(f"{error.reason}: {error}", file=sys.stderr)
        return error.exit_code
    result, code = _attempt(config, shard)
    seconds = round(time.time() - started, 3)
    report(result.model_copy(update={"seconds": seconds}), rank=rank_from(), started=started)
    return code


def _attempt(config: StepConfig, shard: int | None) -> tuple[StepResult, int]:
    def failure(
        reason: str, message: str, kind: FailureClass, metrics: Mapping[str, float] | None = None
    ) -> StepResult:
        return StepResult(
            step=config.step,
            shard=shard,
            succeeded=False,
            reason=reason,
            message=writable(without_credentials(in_users_words(message, _scratch_root()), os.environ)),
            failure_class=kind,
            metrics=dict(metrics or {}),
        )

    try:
        return _run(config, shard), ExitCode.DONE
    except Stopped as stop:
        message = f"stopped by signal {int(stop.code or 0) - 128}; what is committed and journaled is kept"
        return failure("Stopped", message, FailureClass.INFRASTRUCTURE), int(stop.code or 0)
    except StepError as error:
        return failure(error.reason, str(error), failure_class(error), error.metrics), error.exit_code
    except Exception as error:  # noqa: BLE001 - the last frame of a pod: an attempt must end with a result
        if (where := _full_disk(error)) is not None:
            message = f"{where}: {os.strerror(errno.ENOSPC)}: {ROOM}"
            return failure("DiskFull", message, FailureClass.PERMANENT), ExitCode.CONFIGURATION
        if (words := _missing_package(error)) is not None:
            message = f"{words}: a package of this environment is missing or broken: make setup here, or mend the image"
            return failure("PackageMissing", message, FailureClass.PERMANENT), ExitCode.CONFIGURATION
        return failure("Unexpected", _unexpected(error), FailureClass.APPLICATION), ExitCode.FAILED


def _full_disk(error: BaseException | None) -> str | None:
    """Where there was no room, if that is why; libraries in Rust and C++ say so in words only."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return str(error.filename or _scratch_root())
        if os.strerror(errno.ENOSPC) in str(error):
            return str(_scratch_root())
        error = error.__cause__ or error.__context__
    return None


def _missing_package(error: BaseException | None) -> str | None:
    """What could not be imported, if that is why; the library that a package needs counts too (libcudnn.so.9)."""
    while error is not None:
        if isinstance(error, ImportError) or (isinstance(error, OSError) and _NO_LIBRARY in str(error)):
            return _unexpected(error)
        error = error.__cause__
    return None


def failure_class(error: StepError) -> FailureClass:
    """The class of a failure, which says who must act on `error`."""
    match error:
        case PermanentError():
            return FailureClass.PERMANENT
        case InfrastructureError():
            return FailureClass.INFRASTRUCTURE
        case _:
            return FailureClass.APPLICATION


def _run(config: StepConfig, shard: int | None) -> StepResult:
    rank = rank_from()
    store = open_store(config.store.uri, endpoint_url=config.store.endpoint_url, region=config.store.region)
    with ProgressReporter(enabled=rank == 0) as progress:
        context = _context(config, shard, rank, store, progress)
        manifests = {artifact: context.committed(artifact) for artifact in context.outputs}
        done = {artifact: manifest.digest for artifact, manifest in manifests.items() if manifest is not None}
        if len(done) == len(manifests):
            return _succeeded(config, shard, ALREADY_COMMITTED, done, {})
        context.scratch.mkdir(parents=True, exist_ok=True)
        outcome = _step(config.step)(context)
        if not outcome.commit:
            return _succeeded(config, shard, "LeftToRankZero", {}, {})
        return _commit(context, outcome)


def _commit(context: StepContext[Any], outcome: StepOutcome) -> StepResult:
    metrics = {name: float(value) for name, value in outcome.metrics.items()}
    committed: dict[str, Manifest | None] = {
        output.artifact: context.commit(output.with_metrics(metrics)) for output in outcome.outputs
    }
    for artifact in context.outputs:
        # What the step committed itself, on its way.
        committed[artifact] = committed.get(artifact) or context.committed(artifact)
    missing = [artifact for artifact, manifest in committed.items() if manifest is None]
    if missing:
        raise RuntimeError(f"step {context.config.step} ended without committing {', '.join(missing)}")
    for action in outcome.after_commit:
        action()
    # torchrun's other ranks may still have files of it open; on this system they keep what they opened.
    shutil.rmtree(context.scratch, ignore_errors=True)
    digests = {artifact: manifest.digest for artifact, manifest in committed.items() if manifest is not None}
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return _succeeded(context.config, context.shard, "Committed", digests, finite)


def _succeeded(
    config: StepConfig, shard: int | None, reason: str, outputs: dict[str, str], metrics: dict[str, float]
) -> StepResult:
    return StepResult(step=config.step, shard=shard, succeeded=True, reason=reason, outputs=outputs, metrics=metrics)


def _context(
    config: StepConfig, shard: int | None, rank: int, store: Store, progress: ProgressReporter
) -> StepContext[Any]:
    resolved = resolve(
        store,
        config.inputs,
        shard=shard,
        shards=config.shards,
        waiting=lambda: progress.update(0, None, "waiting for input"),
    )
    artifact = config.output if shard is None else artifact_names.shard(config.output, shard)
    digest = identity.step_digest(config, {role: found.digest for role, found in resolved.items()}, shard)
    # Two stores may hold runs of one name; a changed setting must not find an earlier one's checkpoints.
    place = digest_of([config.store.uri, digest]).removeprefix("sha256:")[:16]
    return StepContext(
        config=config,
        store=store,
        scratch=_scratch_root() / config.run / artifact / place,
        shard=shard,
        output=artifact,
        inputs_digest=digest,
        outputs=identity.output_digests(config, artifact, digest),
        progress=progress,
        seed=identity.derived_seed(config.random_seed, config.step.value, config.iteration, shard),
        rank=rank,
        resolved=resolved,
    )


def _step(step: StepName) -> Run:
    run: Run = importlib.import_module(f"selfreward_steps.{MODULES[step]}").run
    return run


def _configuration(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[StepConfig, int | None]:
    """The configuration and the shard's index; raises PermanentError BadConfiguration."""
    steps = ", ".join(step.value for step in StepName)
    if len(arguments) != 1 or arguments[0] not in list(StepName):
        raise _bad(f"usage: python -m selfreward_steps STEP, got {' '.join(arguments)!r}: STEP is one of {steps}")
    text = environment.get(CONFIG_VARIABLE)
    if text is None:
        raise _bad(f"{CONFIG_VARIABLE} is not set: it holds the step's JSON configuration")
    try:
        config = parse_config(text)
    except ValidationError as error:
        raise _bad(f"{CONFIG_VARIABLE}: {_first(error)}") from error
    if config.step != arguments[0]:
        raise _bad(f"{CONFIG_VARIABLE}: step: {config.step.value!r}, but {arguments[0]!r} was asked for")
    return config, _shard(config, environment)


def _shard(config: StepConfig, environment: Mapping[str, str]) -> int | None:
    if config.shards is None:
        return None
    text = environment.get(SHARD_VARIABLE, "")
    if not text.isdecimal() or int(text) >= config.shards:
        raise _bad(f"{SHARD_VARIABLE}: {text!r} is not a shard of {config.shards}: set it to 0 … {config.shards - 1}")
    return int(text)


def _first(error: ValidationError) -> str:
    """The first problem as `field: what is wrong, got value`; the rest are counted."""
    problem = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or "(whole)"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{field}: {problem['msg']}, got {str(problem['input'])[:80]!r}{more}"


def _bad(message: str) -> PermanentError:
    return PermanentError("BadConfiguration", message)


def _unexpected(error: BaseException) -> str:
    traceback.print_exception(error)
    return " ".join(f"{type(error).__name__}: {error}".split())


def _scratch_root() -> Path:
    return Path(os.environ.get(SCRATCH_VARIABLE, DEFAULT_SCRATCH))


def _stop(number: int, frame: FrameType | None) -> None:
    # Once: a second signal must not interrupt the clean-up of the first; SIGKILL remains.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(128 + number)
