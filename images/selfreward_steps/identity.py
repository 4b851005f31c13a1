"""What a step's output depends on, as digests; pure functions of the configuration and the inputs' digests.

A step whose output is committed under the same digest has nothing to do, so everything that changes the output
must be in here, and nothing that does not: where the server listens, how many requests are in flight, which
secret holds a token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from selfreward_steps.contract import (
    EXAMPLES_UNMEASURED,
    DpoConfig,
    ImportConfig,
    PromptsConfig,
    StepConfig,
    ValidationPrompts,
    artifact_names,
)
from selfreward_steps.store import inputs_digest

_NOT_CONTENT: Final = frozenset({"run", "attempt", "store", "inputs"})
"""Fields of every configuration that say where and when, not what."""
_NOT_CONTENT_ANYWHERE: Final = frozenset(
    {
        "tokenVariable",
        "tokenVariables",
        "tokenSecretRef",
        "apiKeyVariable",
        "apiKeySecretRef",
        "concurrency",
        "requestTimeoutSeconds",
        "reportTo",
        "memoryLimits",
    }
)
_LATER: Final = frozenset(
    {
        "additionalLosses",
        "selection",
        "validation",
        "single",
        "checkpoints",
        "columns",
        "metaJudge",
        "minConsistency",
        "consistencyWeighted",
        "tellsCandidates",
    }
)
"""Options that came when there were runs already. What does not ask for them is what it was before there were any."""
_WAS: Final[Mapping[str, JsonValue]] = {"perDeviceBatchSize": EXAMPLES_UNMEASURED}
"""Likewise, what an option was that nobody asked for, before a step chose by itself."""


def settings(config: StepConfig) -> dict[str, JsonValue]:
    """The part of the configuration that decides what the output is."""
    whole: dict[str, JsonValue] = config.model_dump(mode="json", by_alias=True)
    kept = _content({key: value for key, value in whole.items() if key not in _NOT_CONTENT})
    assert isinstance(kept, dict)
    serving = kept.get("serving")
    if isinstance(serving, dict):
        # The artifact that is served is an input (role `model`); the address is chance.
        serving.pop("url", None)
        serving.pop("field", None)
    return kept


def _content(value: JsonValue) -> JsonValue:
    match value:
        case dict():
            return {
                key: _WAS[key] if item is None and key in _WAS else _content(item)
                for key, item in value.items()
                if key not in _NOT_CONTENT_ANYWHERE and not (key in _LATER and _is_absent(item))
            }
        case list():
            return [_content(item) for item in value]
        case _:
            return value


def _is_absent(item: JsonValue) -> bool:
    """Whether an option does not ask for anything; a number does, 0 too."""
    return item is None or item is False or (isinstance(item, list | dict) and not item)


def step_digest(config: StepConfig, inputs: Mapping[str, str], shard: int | None) -> str:
    """The inputs digest of one step or shard; `inputs` maps each role to its artifact's digest."""
    return inputs_digest(config.step.value, {**settings(config), "shard": shard}, inputs)


def output_digests(config: StepConfig, artifact: str, digest: str) -> dict[str, str]:
    """Each artifact the step must commit, with its inputs digest.

    The import's artifacts depend on their own source only, so that a user who mends a broken dataset keeps the
    model that was already imported.
    """
    match config:
        case DpoConfig():
            return dict.fromkeys((*config.checkpoints, artifact), digest)
        case PromptsConfig(validation=ValidationPrompts(output=validation)):
            return dict.fromkeys((validation, artifact), digest)
        case ImportConfig():
            return _imported(config)
        case _:
            return {artifact: digest}


def _imported(config: ImportConfig) -> dict[str, str]:
    whole = settings(config)
    models = whole["models"]
    assert isinstance(models, list)
    found = {
        model.output: inputs_digest(config.step.value, {"model": content}, {})
        for model, content in zip(config.models, models, strict=True)
    }
    if config.template is not None:
        found[artifact_names.JUDGE_TEMPLATE] = inputs_digest(config.step.value, {"template": whole["template"]}, {})
    if has_seed(config):
        seed = {"seedData": whole["seedData"], "promptsSource": config.prompts_source.source is not None}
        prompts = whole["promptsSource"]
        assert isinstance(prompts, dict)
        content = {**seed, "prompts": prompts["source"]}
        if whole["evaluation"] is not None:
            content["evaluation"] = whole["evaluation"]
        found[config.output] = inputs_digest(config.step.value, content, {})
    return found


def has_seed(config: ImportConfig) -> bool:
    """Whether there is any data to import."""
    data = config.seed_data
    sources = (data.instructions, data.rankings, data.eft, config.prompts_source.source)
    mine = config.evaluation is not None and config.evaluation.is_given
    return mine or any(source is not None for source in sources)


def derived_seed(random_seed: int, step: str, iteration: int | None, shard: int | None) -> int:
    """A seed of the step's own, from 0 to 2^31 - 1: the same run seed on the same machine gives the same pairs."""
    text = f"{random_seed}/{step}/{iteration}/{shard}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
