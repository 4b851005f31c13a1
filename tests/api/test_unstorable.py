"""Numbers that YAML can write and no API server can store: on one machine, too, they are one line with their field."""

from __future__ import annotations

import math
from typing import Any

import pytest
from selfreward.api import SelfRewardRun
from selfreward.api.rules import violations

MODEL = {"uri": "hf://owner/base"}


def run(spec: dict[str, Any]) -> SelfRewardRun:
    whole = {"model": MODEL, "prompts": {"generator": "file", "source": {"uri": "s3://data/x.jsonl"}}} | spec
    head = {"apiVersion": "selfreward.dev/v1alpha1", "kind": "SelfRewardRun", "metadata": {"name": "demo"}}
    return SelfRewardRun.model_validate(head | {"spec": whole})


@pytest.mark.parametrize(
    ("spec", "path", "said"),
    [
        ({"gates": {"rewardMargin": {"minimum": math.nan}}}, "spec.gates.rewardMargin.minimum", "nan is no finite"),
        ({"gates": {"lengthGrowth": {"maximum": math.inf}}}, "spec.gates.lengthGrowth.maximum", "inf is no finite"),
        ({"preferences": {"minMargin": math.inf}}, "spec.preferences.minMargin", "inf is no finite"),
        ({"training": {"dpo": {"beta": math.inf}}}, "spec.training.dpo.beta", "inf is no finite"),
        (
            {"training": {"dpo": {"additionalLosses": [{"type": "sft", "weight": math.inf}]}}},
            "spec.training.dpo.additionalLosses[0].weight",
            "inf is no finite",
        ),
        ({"deadlines": {"step": 10**400}}, "spec.deadlines.step", "has more than 64 bits"),
        ({"serving": {"replicas": 2**63}}, "spec.serving.replicas", "has more than 64 bits"),
    ],
)
def test_a_number_that_is_not_stored(spec: dict[str, Any], path: str, said: str) -> None:
    (found,) = violations(run(spec))
    assert found.path == path
    assert found.message.startswith(said)


def test_the_largest_that_are() -> None:
    assert violations(run({"deadlines": {"step": 2**63 - 1}, "preferences": {"minMargin": 1e308}})) == []
