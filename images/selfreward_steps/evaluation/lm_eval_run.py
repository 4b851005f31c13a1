"""lm-eval on the server of the evaluated model: what it can do that no judge is asked about (the alignment tax).

lm-eval brings much with it and is installed where somebody wants it: nothing of it is imported before tasks are to be
run. It must not import torch; the tokenizer is the model's own, so no hub is asked for one.
"""

from __future__ import annotations

import difflib
import json
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.client.client import CONNECT_SECONDS, authorization
from selfreward_steps.client.retrying import RetryPolicy
from selfreward_steps.contract import LmEvalSettings, ServingEndpoint
from selfreward_steps.errors import InfrastructureError, PermanentError

LM_EVAL: Final = "lm_eval"
"""Key of lm-eval's part in `metrics.json`."""
RESULTS: Final = "lm_eval_results.json"
"""lm-eval's own results, as it returns them."""
TOKENIZER_FILES: Final = ("*.json", "*.jinja", "*.model", "*.txt")
"""Of a model, what its tokenizer is read from."""
_FIELD: Final = "evaluation.lmEval"
_CONTEXT_TOKENS: Final = 2048
"""Longest prompt where the server does not say what it takes; lm-eval's default."""
_NORMAL_95: Final = 1.959964
_BROKEN: Final = (AttributeError, FileNotFoundError, ImportError, LookupError, TypeError, ValueError)
"""What a wrong task file ends in: it names Python functions, files and columns."""


def load_tasks(settings: LmEvalSettings) -> Any:
    """The tasks with their data, before a server is asked for anything.

    Raises PermanentError MissingPackage, TaskNotFound, TaskBroken, TaskUnsafe; InfrastructureError HubUnavailable.
    """
    # Its bars are for a terminal; progress is told by the step.
    os.environ.setdefault("TQDM_DISABLE", "1")
    # Its error lines have the request's headers in them, and with them the key.
    logging.getLogger("lm_eval.models.api_models").setLevel(logging.CRITICAL)
    try:
        # lm-eval does not ask for these before it needs them.
        import tenacity  # noqa: F401
        import transformers  # noqa: F401

        from selfreward_steps.evaluation.lm_eval_model import LoadedTasks
    except ImportError as error:
        raise PermanentError(
            "MissingPackage",
            f"{_FIELD}.tasks: {_named(settings.tasks)}: lm-eval is not installed here ({error}): use a judge image "
            "built with --build-arg LOCK=judge-lm-eval (on one machine: pip install 'selfreward[lm-eval]'), or remove "
            f"{_FIELD}",
        ) from error
    if settings.include_path is not None and not Path(settings.include_path).is_dir():
        raise PermanentError(
            "TaskNotFound",
            f"{_FIELD}.includePath: {settings.include_path}: there is no such folder: mount it with "
            "workloads.generation.volumes and volumeMounts, or correct the path",
        )
    manager = LoadedTasks.of(settings.tasks, settings.include_path)
    for name in settings.tasks:
        if name not in manager.task_index:
            raise _unknown(name, manager.all_tasks, settings.include_path)
    with _told(settings.tasks):
        tasks = manager.load(list(settings.tasks))["tasks"]
    for name, task in tasks.items():
        if getattr(task, "UNSAFE_CODE", False):
            raise PermanentError(
                "TaskUnsafe",
                f"{_FIELD}.tasks: {name}: runs code that the model writes, which is not done here: remove it",
            )
    return manager


def run_tasks(
    settings: LmEvalSettings,
    manager: Any,
    endpoint: ServingEndpoint,
    tokenizer: Path,
    progress: ProgressReporter,
    policy: RetryPolicy | None = None,
) -> dict[str, Any]:
    """Ask `endpoint` all that the loaded tasks want; returns lm-eval's results.

    `tokenizer` is a folder with the model's TOKENIZER_FILES. Raises PermanentError ServingRejected, MissingApiKey;
    StepFailed ServingNonsense; InfrastructureError ServingUnavailable.
    """
    import aiohttp
    from lm_eval import simple_evaluate

    from selfreward_steps.evaluation.lm_eval_model import End, ServedModel

    done = 0

    def answered() -> None:
        nonlocal done
        done += 1
        progress.update(done, None, "lm-eval requests")

    headers = authorization(endpoint)
    model = ServedModel(
        endpoint,
        headers,
        tokenizer,
        _context_tokens(endpoint, headers),
        policy or RetryPolicy(),
        answered=answered,
        alive=progress.alive,
    )
    try:
        with progress.busy():
            found: dict[str, Any] = simple_evaluate(
                model=model,
                tasks=list(settings.tasks),
                task_manager=manager,
                num_fewshot=settings.num_fewshot,
                limit=settings.limit,
                log_samples=False,
            )
    except End as end:
        raise end.error from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise InfrastructureError(
            "ServingUnavailable",
            f"{endpoint.field}.url {endpoint.url} (model {endpoint.model}) does not answer lm-eval: "
            f"{type(error).__name__}: {error}",
        ) from None
    return found


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """`lm_eval_results.json`, with what is no JSON as text."""
    text = json.dumps(results, indent=2, ensure_ascii=False, default=str)
    (folder / RESULTS).write_text(text + "\n", encoding="utf-8")


def lm_eval_section(results: Mapping[str, Any]) -> dict[str, Any]:
    """Part `lm_eval` of `metrics.json`, by `TASK/METRIC` (`TASK/METRIC,FILTER` where lm-eval filters answers first).

    The interval is the normal one of lm-eval's standard error, where that is not zero: a few examples that are all
    right have no spread, and would seem to be sure; `group` is there for a task whose group has a number of
    its own.
    """
    tasks: Mapping[str, Mapping[str, Any]] = results["results"]
    groups = {
        member: group
        for group, members in results.get("group_subtasks", {}).items()
        if any(True for _ in _measured(tasks.get(group, {})))
        for member in members
    }
    section = {}
    for task, numbers in tasks.items():
        for metric, picked, value in _measured(numbers):
            stderr = _number(numbers.get(f"{metric}_stderr,{picked}"))
            half = _NORMAL_95 * stderr if stderr else None
            name = f"{task}/{metric}" if picked == "none" else f"{task}/{metric},{picked}"
            section[name] = {
                "value": round(value, 6),
                "low": None if half is None else round(value - half, 6),
                "high": None if half is None else round(value + half, 6),
                "count": numbers.get("sample_len"),
                "stderr": None if stderr is None else round(stderr, 6),
                "higher_is_better": results.get("higher_is_better", {}).get(task, {}).get(metric),
                **({"group": groups[task]} if task in groups else {}),
            }
    return section


def lm_eval_metrics(section: Mapping[str, Any]) -> dict[str, float]:
    """For status: `lm_eval/TASK/METRIC`, of a group its own numbers only."""
    return {f"{LM_EVAL}/{name}": float(each["value"]) for name, each in section.items() if "group" not in each}


def _measured(numbers: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Metric, filter and value of each number of a task; lm-eval keys them `METRIC,FILTER`."""
    for key, value in numbers.items():
        metric, comma, picked = key.partition(",")
        known = _number(value)
        if comma and not metric.endswith("_stderr") and known is not None:
            yield metric, picked, known


def _number(value: Any) -> float | None:
    """lm-eval writes `N/A` where there is none."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _context_tokens(endpoint: ServingEndpoint, headers: Mapping[str, str]) -> int:
    """What the server takes, prompt and answer together; vLLM lists it with its models."""
    try:
        # Directly, as the run's own server is always asked.
        url = f"{endpoint.url.rstrip('/')}/models"
        found = httpx.get(url, headers=dict(headers), timeout=CONNECT_SECONDS, trust_env=False)
        known = {each["id"]: each.get("max_model_len") for each in found.json()["data"]}
    except (httpx.HTTPError, KeyError, TypeError, ValueError):
        return _CONTEXT_TOKENS  # what ails the server is told by the requests themselves
    stated = known.get(endpoint.model)
    return stated if isinstance(stated, int) else _CONTEXT_TOKENS


@contextmanager
def _told(names: Sequence[str]) -> Iterator[None]:
    """Turn what lm-eval and the datasets library raise while tasks are loaded into errors that name them."""
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    where = f"{_FIELD}.tasks: {_named(names)}"
    try:
        yield
    except (ConnectionError, TimeoutError, HfHubHTTPError, httpx.TransportError) as error:
        raise InfrastructureError(
            "HubUnavailable",
            f"{where}: the data cannot be reached: {error}: let the evaluation reach the hub, or set HF_ENDPOINT to a "
            "mirror in workloads.generation.env",
        ) from error
    except DatasetNotFoundError as error:
        raise PermanentError(
            "TaskBroken",
            f"{where}: {error}: correct the task, or give HF_TOKEN in workloads.generation.env for a gated dataset",
        ) from error
    except (*_BROKEN, DatasetsError, yaml.YAMLError) as error:
        raise PermanentError(
            "TaskBroken", f"{where}: cannot be loaded ({type(error).__name__}: {error}): mend the task's file"
        ) from error


def _unknown(name: str, known: Sequence[str], include_path: str | None) -> PermanentError:
    close = difflib.get_close_matches(name, known, n=3)
    own = f", and no file in {include_path} defines it" if include_path is not None else ""
    hint = f"did you mean {' or '.join(close)}?" if close else "`lm-eval ls tasks` prints all"
    return PermanentError(
        "TaskNotFound", f"{_FIELD}.tasks: {name!r}: lm-eval has no such task, group or tag{own}: {hint}"
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names)
