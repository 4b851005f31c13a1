"""What a run names and this machine can be asked about at once: files, packages, variables.

A missing file is worth knowing in the first second rather than after an engine has loaded. What takes a network
is left to the import step. It must not read what it finds.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from selfreward_steps.contract import ConfigMapKeyRef, LmEvalSettings

from selfreward.api import SelfRewardRunSpec
from selfreward.api.addresses import read_uris
from selfreward.api.spec import Tracker
from selfreward.cluster.local.environment import secret_value, secret_variables
from selfreward.render.secrets import secret_refs

TRACKER_PACKAGES: Final = {
    Tracker.AZURE_ML: ("azureml",),
    Tracker.DAGSHUB: ("dagshub", "mlflow"),
    Tracker.FLYTE: ("flytekit",),
    Tracker.TENSORBOARD: ("tensorboard", "tensorboardX"),
    Tracker.KUBEFLOW: (),
}
"""Packages that a tracker needs, any of them, where that is not the one of its name; kubeflow needs none."""


def missing(spec: SelfRewardRunSpec) -> Iterator[str]:
    """One line for each thing that is not there."""
    for field, uri in read_uris(spec).items():
        if problem := _absence(uri):
            yield f"{field}: {uri}: {problem}"
    yield from _missing_tasks(spec.evaluation.lm_eval)
    for tracker in spec.training.report_to:
        packages = TRACKER_PACKAGES.get(tracker, (tracker.value,))
        if packages and not any(importlib.util.find_spec(package) for package in packages):
            yield f"spec.training.reportTo: {tracker}: is not installed here: pip install {packages[0]}"
    template = spec.judge.imported_template
    if template is not None and template.config_map_ref is not None:
        yield from _missing_config_map(template.config_map_ref)
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


def _missing_config_map(ref: ConfigMapKeyRef) -> Iterator[str]:
    if secret_value(ref.name, ref.key) is None:
        first, second = secret_variables(ref.name, ref.key)
        yield (
            f"spec.judge.customTemplate.configMapRef: ConfigMap {ref.name}, key {ref.key}: on one machine it is read "
            f"from the environment: set {first} or {second}, or use uri"
        )


def _absence(uri: str) -> str | None:
    scheme, _, rest = uri.partition("://")
    match scheme:
        case "file":
            return _path_absence(Path(unquote(urlsplit(uri).path)))
        case "package":
            package, _, inside = rest.partition("/")
            return _package_absence(package, unquote(inside))
        case _:
            return None


def _path_absence(path: Path) -> str | None:
    try:
        return None if path.exists() else "there is no such file or folder"
    except OSError as error:  # a name that is too long, a folder that may not be read
        return f"cannot be read: {error.strerror}"


def _package_absence(package: str, inside: str) -> str | None:
    found = importlib.util.find_spec(re.sub(r"[-.]+", "_", package))
    folders = [] if found is None else [Path(folder) for folder in found.submodule_search_locations or []]
    if not folders:
        try:
            importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            return f"the Python package {package} is not installed: pip install it here first"
        return None  # under a name of its own: the import will find it
    if all(_path_absence(folder / inside) for folder in folders):
        return f"the package {package} has no {inside}"
    return None
