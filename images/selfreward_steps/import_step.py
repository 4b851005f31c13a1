"""The import step: seed data first, then models, each committed as soon as it is there.

The data comes first because it is quick to check: a broken dataset fails in the first minute. Each artifact depends
on its own source only, so a restart redoes none that is committed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from selfreward_steps import identity
from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.contract import (
    CACHE_BYTES_PER_TOKEN,
    PARAMETERS,
    ImportConfig,
    JudgeMode,
    artifact_names,
    shape_of,
)
from selfreward_steps.errors import PermanentError
from selfreward_steps.hub import prepare_hub
from selfreward_steps.importing.files import check_safetensors
from selfreward_steps.importing.seed.datasets import import_seed
from selfreward_steps.importing.sources import Place
from selfreward_steps.importing.templates import import_template
from selfreward_steps.judging.custom_template import ROLE, with_own_template
from selfreward_steps.store import Manifest

FIELDS: Final = {
    artifact_names.JUDGE_MODEL: "judge.source",
    artifact_names.EVALUATION_JUDGE: "evaluation.judge.source",
}
"""The artifacts of models that judge, with the fields that name them; the base model's is `model`."""


def run(context: StepContext[ImportConfig]) -> StepOutcome:
    """Bring seed data and models into the store."""
    prepare_hub(context.scratch)
    config = context.config
    place = Place(context.scratch, context.progress, config.store.endpoint_url, config.store.region)
    metrics: dict[str, float] = {}
    total = len(context.outputs)
    context.progress.update(0, total, "artifacts")
    if identity.has_seed(config):
        metrics.update(_seed(context, place))
    if config.template is not None and context.committed(artifact_names.JUDGE_TEMPLATE) is None:
        mode = JudgeMode.COT if config.judge is None else config.judge.mode
        folder = import_template(config.template, place, context.scratch / "template", mode)
        context.commit(Output(artifact_names.JUDGE_TEMPLATE, folder))
    for item in config.models:
        context.progress.update(_done(context), total, "artifacts")
        manifest = context.committed(item.output)
        if manifest is None:
            metrics.update(_model(context, place, item.output))
        elif item.output == artifact_names.BASE_MODEL:
            metrics.update(_kept(manifest, "metrics"))
    context.progress.update(total, total, "artifacts")
    return StepOutcome([], metrics)


def _done(context: StepContext[ImportConfig]) -> int:
    return sum(context.committed(artifact) is not None for artifact in context.outputs)


def _seed(context: StepContext[ImportConfig], place: Place) -> Mapping[str, float]:
    manifest = context.committed(context.config.output)
    if manifest is None:
        folder = context.scratch / "seed"
        metadata = import_seed(context.config, place, folder, os.environ)
        manifest = context.commit(Output(context.config.output, folder, metadata))
    return _kept(manifest, "counts")


def _kept(manifest: Manifest, name: str) -> dict[str, float]:
    """The numbers that an artifact was committed with, for the attempts after that."""
    numbers = manifest.metadata.get(name)
    found = numbers.items() if isinstance(numbers, dict) else ()
    return {key: float(number) for key, number in found if isinstance(number, int | float)}


def _model(context: StepContext[ImportConfig], place: Place, output: str) -> Mapping[str, float]:
    # Loads transformers: not before the data has been found good.
    from selfreward_steps.importing.model import import_model

    item = next(model for model in context.config.models if model.output == output)
    imported = import_model(item, FIELDS.get(output, "model"), place)
    # Before the commit: what refuses the run must refuse it again at the next attempt.
    too_long: Mapping[str, float] = {}
    size: Mapping[str, float] = {}
    if output not in FIELDS:
        parameters, _ = check_safetensors(imported.folder, "model")
        _refuse_too_large(context.config, parameters)
        if not imported.system_role:
            _refuse_system_messages(context, item.source.uri)
        too_long, size = _too_long(context, imported.folder), _size(imported.folder, parameters)
    context.commit(Output(output, imported.folder, imported.metadata).with_metrics(size))
    return {**too_long, **size}


def _size(folder: Path, parameters: int) -> dict[str, float]:
    """What servers of the model and of those trained from it are started by, if the architecture is known."""
    shape = shape_of(json.loads((folder / "config.json").read_bytes()), parameters)
    sizes = {} if shape is None else {CACHE_BYTES_PER_TOKEN: float(shape.cache_bytes_per_token)}
    return {PARAMETERS: float(parameters), **sizes}


def _refuse_too_large(config: ImportConfig, parameters: int) -> None:
    """Before any GPU is asked for: a training that cannot fit would be found by the first one, or by a later one that
    needs more."""
    refused = [refusal for limit in config.memory_limits or () if (refusal := limit.refusal(parameters)) is not None]
    if refused:
        raise PermanentError("ModelTooLarge", "; ".join(refused))


def _refuse_system_messages(context: StepContext[ImportConfig], uri: str) -> None:
    seed = context.committed(context.config.output) if context.config.output in context.outputs else None
    count = seed.metadata.get("system_messages", 0) if seed is not None else 0
    if count:
        raise PermanentError(
            "SystemMessageRejected",
            f"model.uri: {uri}: its chat template rejects a system message, and {count} examples of "
            "seedData.instructions have one: remove those messages, or set model.chatTemplate",
        )


def _too_long(context: StepContext[ImportConfig], model: Path) -> Mapping[str, float]:
    """Rows of the seed data that the base model's server will not take."""
    config = context.config
    judge = config.judge
    if judge is None or config.output not in context.outputs:
        return {}
    from selfreward_steps.importing.lengths import too_long_rows

    def folder(artifact: str) -> Path:
        return context.store.local_folder(artifact, context.scratch / "inputs")

    with context.progress.busy():
        own = {ROLE} if config.template is not None else set()
        judge = with_own_template(judge, own, lambda _: folder(artifact_names.JUDGE_TEMPLATE))
        return too_long_rows(config, judge, model, folder(config.output))
