"""The import refuses a model that cannot fit the GPUs that the run names, before any is asked for."""

from __future__ import annotations

import pytest
from selfreward_steps.contract import ImportConfig, MemoryLimit, Remedy, StoreConfig
from selfreward_steps.errors import PermanentError
from selfreward_steps.identity import settings
from selfreward_steps.import_step import _refuse_too_large

PARAMETERS = 1_000


def config(gpu_bytes: int | None) -> ImportConfig:
    limit = {
        "field": "spec.training.dpo",
        "use": "20 bytes a weight",
        "bytes_per_parameter": 20,
        "more": "training.processesPerNode",
        "remedies": [Remedy(words="training.dpo.lora: {}", bytes_per_parameter=4)],
    }
    limits = None if gpu_bytes is None else [MemoryLimit.model_validate({**limit, "gpu_bytes": gpu_bytes})]
    return ImportConfig(run="r", store=StoreConfig(uri="file:///s"), output="seed", models=[], memory_limits=limits)


def test_what_does_not_fit_is_permanent() -> None:
    with pytest.raises(PermanentError) as caught:
        _refuse_too_large(config(19_999), PARAMETERS)
    assert caught.value.reason == "ModelTooLarge"
    assert str(caught.value).startswith("spec.training.dpo: 0.0 billion parameters take ")
    assert "training.dpo.lora: {}" in str(caught.value)


@pytest.mark.parametrize("gpu_bytes", [20_000, None])
def test_what_may_fit_is_imported(gpu_bytes: int | None) -> None:
    _refuse_too_large(config(gpu_bytes), PARAMETERS)


def test_the_gpus_are_no_part_of_what_is_imported() -> None:
    assert settings(config(1)) == settings(config(None))
