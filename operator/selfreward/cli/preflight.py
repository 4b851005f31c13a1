"""What a run names and this machine can be asked about at once: files, packages, variables.

A missing file is worth knowing in the first second rather than after an engine has loaded. What takes a network
is left to the import step. It must not read what it finds.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from selfreward_steps.contract import CustomTemplate, DataSource, LmEvalSettings, ModelSource

from selfreward.api import SelfRewardRunSpec
from selfreward.cluster.local.environment import secret_value, secret_variables
from selfreward.render.secrets import secret_refs


def missing(spec: SelfRewardRunSpec) -> Iterator[str]:
    """One line for each thing that is not there."""
    for field, source in _sources(spec).items():
        if source is not None and (problem := _absence(source.uri)):
            yield f"{field}.uri: {source.uri}: {problem}"
    yield from _missing_tasks(spec.evaluation.lm_eval)
    yield from _missing_template(spec.judge.imported_template)
    for field, ref in secret_refs(spec).items():
        if secret_value(ref.name, ref.key) is None:
            first, second = secret_variables(ref.name, ref.key)
            yield (
                f"{field}: secret {ref.name}, key {ref.key}: on one machine it is read from the environment: "
                f"set {first} or {second}"
            )


def _missing_tasks(asked: LmEvalSettings | None) -> Iterator[str]:
    """lm-eval, and a folder of tasks."""
    if asked is None:
        return
    if importlib.util.find_spec("lm_eval") is None:
        tasks = ", ".join(asked.tasks)
        yield f"spec.evaluation.lmEval.tasks: {tasks}: lm-eval is not installed here: pip install 'selfreward[lm-eval]'"
    if asked.include_path is not None and not Path(asked.include_path).is_dir():
        yield f"spec.evaluation.lmEval.includePath: {asked.include_path}: there is no such folder"


def _missing_template(template: CustomTemplate | None) -> Iterator[str]:
    """A judge template that is elsewhere."""
    if template is None:
        return
    if template.uri is not None and (problem := _absence(template.uri)):
        yield f"spec.judge.customTemplate.uri: {template.uri}: {problem}"
    ref = template.config_map_ref
    if ref is not None and secret_value(ref.name, ref.key) is None:
        first, second = secret_variables(ref.name, ref.key)
        yield (
            f"spec.judge.customTemplate.configMapRef: ConfigMap {ref.name}, key {ref.key}: on one machine it is read "
            f"from the environment: set {first} or {second}, or use uri"
        )


def _sources(spec: SelfRewardRunSpec) -> dict[str, ModelSource | DataSource | None]:
    return {
        "spec.model": spec.model,
        "spec.judge.source": spec.judge.source,
        "spec.seedData.instructions": spec.seed_data.instructions,
        "spec.seedData.rankings": spec.seed_data.rankings,
        "spec.seedData.eft": spec.seed_data.eft,
        "spec.prompts.source": spec.prompts.source,
        "spec.evaluation.source": spec.evaluation.source,
        "spec.evaluation.outside": spec.evaluation.outside,
        "spec.evaluation.mtBench": spec.evaluation.mt_bench,
        "spec.evaluation.safetyPrompts": spec.evaluation.safety_prompts,
        "spec.evaluation.judge.source": spec.evaluation.judge.source,
    }


def _absence(uri: str) -> str | None:
    parts = urlsplit(uri)
    match parts.scheme:
        case "file" if not Path(unquote(parts.path)).exists():
            return "there is no such file or folder"
        case "package":
            return _package_absence(parts.netloc, unquote(parts.path).strip("/"))
        case _:
            return None


def _package_absence(package: str, inside: str) -> str | None:
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    if found is None:
        return f"the Python package {package} is not installed: pip install it here first"
    folders = [Path(folder) for folder in found.submodule_search_locations or []]
    if not any((folder / inside).exists() for folder in folders):
        return f"the package {package} has no {inside}"
    return None
