"""`selfreward validate` and `kubectl apply` accept and refuse the same runs."""

from __future__ import annotations

from typing import Any

import pytest
from api.crd_fuzz import crds_verdict, differences, models_verdict

RUNS = 400
"""As many as a few seconds allow; `api.crd_fuzz` by itself compares as many as it is told."""


def test_the_models_and_the_crd_think_the_same_of_random_runs() -> None:
    counts, found = differences(RUNS, seed=20260101)
    assert found == []
    assert min(counts["accepted"], counts["refused"]) > RUNS / 5, "both kinds, or it says nothing"


def document(**spec: Any) -> dict[str, Any]:
    prompts = {"source": {"uri": "s3://bucket/prompts.jsonl"}}
    return {
        "apiVersion": "selfreward.dev/v1alpha1",
        "kind": "SelfRewardRun",
        "metadata": {"name": "demo"},
        "spec": {"model": {"uri": "hf://a/b"}, "prompts": prompts, **spec},
    }


ACCEPTED: dict[str, dict[str, Any]] = {
    "null is absent": {"suspend": None, "iterations": None, "training": None, "schedule": None},
    "null in a map is absent": {"workloads": {"serving": {"nodeSelector": {"a": None}}}},
    "a whole number with a point": {"iterations": 2.0},
    "an amount without quotes": {"workloads": {"serving": {"resources": {"limits": {"nvidia.com/gpu": 2}}}}},
    "an integer where a number is asked": {"training": {"dpo": {"beta": 1}}},
}
REFUSED: dict[str, dict[str, Any]] = {
    "a number as text": {"iterations": "2"},
    "true for an integer": {"iterations": True},
    "true for a number": {"training": {"dpo": {"beta": True}}},
    "text for a number": {"training": {"dpo": {"beta": "0.1"}}},
    "text for true": {"suspend": "true"},
    "one for true": {"suspend": 1},
    "a number for text": {"model": {"uri": "hf://a/b", "revision": 1}},
    "Python's name of a field": {"random_seed": 1},
    "Python's name of a field within": {"training": {"processes_per_node": 1}},
    "null in a list": {"preferences": {"lengthControl": [None]}},
    "an integer of 70 bits": {"deadlines": {"run": 2**70}},
    "half an integer": {"deadlines": {"run": 1.5}},
    "no time zone": {"schedule": {"cron": "@daily", "timeZone": "Mars/Olympus"}},
    "a day that never comes": {"schedule": {"cron": "0 0 30 2 *"}},
    "a fraction of an amount without quotes": {"workloads": {"serving": {"resources": {"limits": {"cpu": 0.5}}}}},
    "true as an amount": {"workloads": {"serving": {"resources": {"limits": {"cpu": True}}}}},
    "no amount": {"workloads": {"serving": {"resources": {"limits": {"cpu": "many"}}}}},
    "a line break at the end": {"storage": {"secret": "name\n"}},
    "a loss that TRL does not have": {"training": {"dpo": {"lossType": "sigmoidal"}}},
    "a tracker that nobody has": {"training": {"reportTo": ["tensorbored"]}},
    "a variable without a name": {"workloads": {"training": {"env": [{"value": "1"}]}}},
}


@pytest.mark.parametrize("spec", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_both_accept(spec: dict[str, Any]) -> None:
    assert (models_verdict(document(**spec)), crds_verdict(document(**spec))) == ("", "")


@pytest.mark.parametrize("spec", REFUSED.values(), ids=REFUSED.keys())
def test_both_refuse(spec: dict[str, Any]) -> None:
    assert models_verdict(document(**spec))
    assert crds_verdict(document(**spec))


@pytest.mark.parametrize(
    "metadata",
    [{"name": "Demo"}, {"name": "x" * 64}, {"name": "a.b"}, {"name": ""}, {"name": "demo", "lables": {}}, {}],
)
def test_both_refuse_metadata(metadata: dict[str, Any]) -> None:
    wrong = document() | {"metadata": metadata}
    assert models_verdict(wrong)
    assert crds_verdict(wrong)
