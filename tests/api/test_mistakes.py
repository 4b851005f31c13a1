"""What no schema refuses and a look at the run does: each mistake is one line before the first step."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from selfreward.api.load import checked
from selfreward.api.mistakes import amount, mistakes

PROMPTS = {"uri": "s3://bucket/prompts.jsonl"}


def told(**spec: Any) -> list[str]:
    document = {"metadata": {"name": "demo"}, "spec": {"model": {"uri": "hf://a/b"}, "prompts": {"source": PROMPTS}}}
    document["spec"] |= spec
    return list(mistakes(checked(document).spec))


def custom(pattern: str) -> dict[str, Any]:
    template = {"text": "{prompt} {response}", "scorePattern": pattern}
    return {"judge": {"template": "custom", "customTemplate": template}}


def resources(kind: str, **quantities: Any) -> dict[str, Any]:
    return {"workloads": {kind: {"resources": quantities}}}


GPU = "nvidia.com/gpu"
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "pattern that does not compile": (
        custom("[0-9("),
        "spec.judge.customTemplate.scorePattern: '[0-9(': no regular expression: unterminated character set",
    ),
    "pattern that Python does not have": (custom(r"\Q(.)\E"), "no regular expression: bad escape \\Q"),
    "pattern of absurd repeats": (
        custom("a{99999999999}(b)"),
        "no regular expression: the repetition number is too large",
    ),
    "pattern too deep": (custom("(" * 3000 + ")" * 3000), "no regular expression: maximum recursion depth exceeded"),
    "pattern whose parentheses are no group": (custom("(?:[0-9])"), "has no group for the score"),
    "pattern whose parentheses are escaped": (custom(r"\([0-9]"), "has no group for the score"),
    "hub address of one word": ({"model": {"uri": "hf://gpt2"}}, "spec.model.uri: hf://gpt2: use hf://OWNER/NAME"),
    "hub address of an open bracket": ({"model": {"uri": "hf://[x"}}, "spec.model.uri: hf://[x: use hf://OWNER/NAME"),
    "hub address with spaces": ({"model": {"uri": "hf://a b/c"}}, "use hf://OWNER/NAME"),
    "hub dataset of one word": (
        {"prompts": {"source": {"uri": "hf://datasets/alpaca"}}},
        "spec.prompts.source.uri: hf://datasets/alpaca: use hf://datasets/OWNER/NAME",
    ),
    "bucket without a key": ({"model": {"uri": "s3://bucket/"}}, "use s3://BUCKET/KEY, or s3://BUCKET/PREFIX"),
    "bucket of an open bracket": ({"model": {"uri": "s3://[x/y"}}, "'[x' is not a bucket name"),
    "a repository of two dots": (
        {"publish": {"repository": "team/a..b", "tokenSecretRef": {"name": "hub"}}},
        "spec.publish.repository: team/a..b: a hub takes no -- and .. in a name",
    ),
    "a repository of two dashes": (
        {"publish": {"repository": "team/a--b", "tokenSecretRef": {"name": "hub"}}},
        "spec.publish.repository: team/a--b: a hub takes no -- and .. in a name",
    ),
    "a repository that ends in a dash": (
        {"publish": {"repository": "team/run-", "tokenSecretRef": {"name": "hub"}}},
        "spec.publish.repository: team/run-: a hub takes no -- and .. in a name",
    ),
    "a repository of an owner that ends in a dot": (
        {"publish": {"repository": "team./run", "tokenSecretRef": {"name": "hub"}}},
        "spec.publish.repository: team./run: a hub takes no -- and .. in a name",
    ),
    "a repository of an owner of two dashes": (
        {"publish": {"repository": "te--am/run", "tokenSecretRef": {"name": "hub"}}},
        "spec.publish.repository: te--am/run: a hub takes no -- and .. in a name",
    ),
    "package of an open bracket": ({"model": {"uri": "package://[x/y"}}, "use package://NAME/PATH"),
    "package without a path": ({"model": {"uri": "package://name"}}, "use package://NAME/PATH"),
    "package left upwards": ({"model": {"uri": "package://name/%2e%2e/x"}}, "use package://NAME/PATH"),
    "NUL in a path": ({"model": {"uri": "file:///a%00b"}}, "holds a NUL, which no path can"),
    "storage in no bucket": ({"storage": {"uri": "s3://B/x"}}, "spec.storage.uri: s3://B/x: 'B' is not a bucket name"),
    "storage that leads up": ({"storage": {"uri": "s3://bucket/runs/../x"}}, "its path may hold no empty segment"),
    "storage that leads up in a file's way": (
        {"storage": {"uri": "file:///runs/%2e%2e/x"}},
        "its path may hold no empty segment and no '.' or '..'",
    ),
    "storage at the root": ({"storage": {"uri": "file:////"}}, "use a folder"),
    "no resource of Kubernetes": (
        resources("serving", limits={"gpu": 1}),
        "gpu: 1: no resource of Kubernetes: use cpu",
    ),
    "less than nothing": (resources("serving", requests={"cpu": "-1"}), "requests: cpu: -1: must not be below 0"),
    "bytes for gigabytes": (
        resources("generation", limits={"memory": 16}),
        "spec.workloads.generation.resources.limits: memory: 16: are bytes: nothing starts with so few; "
        "use a unit, such as 16Gi",
    ),
    "a GPU beside a device class": (
        {"serving": {"deviceClassName": "gpu.example.com"}, **resources("training", limits={GPU: 1})},
        "spec.workloads.training.resources: nvidia.com/gpu: 1: serving.deviceClassName gives these pods their devices",
    ),
    "half a GPU": (resources("serving", limits={GPU: "500m"}), "a device is given whole"),
    "request above its limit": (
        resources("processing", requests={"memory": "2Gi"}, limits={"memory": "2G"}),
        "requests: memory: 2Gi: is above its limit of 2G",
    ),
    "GPUs requested without a limit": (
        resources("serving", requests={GPU: 1}),
        "a device's request must be its limit too",
    ),
    "fewer GPUs than processes": (
        {"training": {"processesPerNode": 4}, **resources("training", limits={GPU: 2})},
        "spec.training.processesPerNode: 4: workloads.training.resources gives each pod 2 GPUs",
    ),
    "more GPUs than processes": (
        resources("training", limits={GPU: 8}),
        "spec.training.processesPerNode: 1: workloads.training.resources gives each pod 8 GPUs",
    ),
    "fewer GPUs than the server's model needs": (
        {"serving": {"tensorParallel": 2}, **resources("serving", limits={"amd.com/gpu": 1})},
        "spec.serving.tensorParallel: 2: workloads.serving.resources gives each server 1 GPU: set both alike",
    ),
    "GPUs that stand idle": (
        resources("serving", limits={GPU: 4}),
        "spec.serving.tensorParallel: 1: workloads.serving.resources gives each server 4 GPUs: the others would stand",
    ),
}


@pytest.mark.parametrize(("spec", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line(spec: dict[str, Any], words: str) -> None:
    (line,) = told(**spec)
    assert words in line
    assert line.startswith("spec.")
    assert "\n" not in line


FINE: dict[str, dict[str, Any]] = {
    "the shortest run": {},
    "a file of a repository": {"model": {"uri": "hf://owner/name/folder/model.gguf"}},
    "a dataset's configuration": {"prompts": {"source": {"uri": "hf://datasets/tatsu-lab/alpaca_eval/configuration"}}},
    "what is not read": {"judge": {"model": "self"}},
    "all that a pod may ask": resources(
        "training",
        requests={"cpu": "1500m", "memory": "1e9", "hugepages-2Mi": "100Mi", "rdma/hca": 1},
        limits={"cpu": 2, "memory": "1.5Gi", "hugepages-2Mi": "100Mi", "rdma/hca": 1, "ephemeral-storage": "100G"},
    ),
    "a GPU a process": {"training": {"processesPerNode": 8}, **resources("training", limits={GPU: 8})},
    "no GPU at all": {"training": {"processesPerNode": 2}, **resources("training", limits={GPU: 0})},
    "part of a GPU": resources("serving", limits={"nvidia.com/mig-3g.40gb": 1}),
    "an engine told what to do with more": {"serving": {"args": ["-pp=2"]}, **resources("serving", limits={GPU: 2})},
}


@pytest.mark.parametrize("spec", FINE.values(), ids=FINE.keys())
def test_what_is_right_is_let_be(spec: dict[str, Any]) -> None:
    assert told(**spec) == []


@pytest.mark.parametrize(
    ("quantity", "number"),
    [("2", 2), ("500m", "0.5"), ("1Ki", 1024), ("1.5Gi", 1_610_612_736), ("1e3", 1000), ("1E", 10**18), (".5k", 500)],
)
def test_amounts(quantity: str, number: int | str) -> None:
    assert amount(quantity) == Decimal(number)
