"""Random runs, of which the models and the CRD must think the same.

`PYTHONPATH=tests .venv/bin/python -m api.crd_fuzz 5000` compares as many; another seed may follow the number. The CRD's
judge is the API server of `tests/kube` (pruning, defaults, schema, CEL), which shares no code with the models.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from kube.cel_rules import cel_causes
from kube.schemas import Validator, apply_defaults, prune
from kube.typed import prune_typed, typed_causes
from selfreward.api.load import RunInvalid, checked

Document = dict[str, Any]

CRD = Path(__file__).parents[2] / "crds" / "selfreward.dev_selfrewardruns.yaml"
SCHEMA: Document = yaml.safe_load(CRD.read_text(encoding="utf-8"))["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
VALIDATOR = Validator(SCHEMA)

TEXTS = (
    *(
        "",
        "a",
        "A",
        "a-b",
        "a.b",
        "-a",
        "a b",
        "a\n",
        "\n",
        "a/b",
        "/a",
        "/a\n",
        "é",
        "\0",
        "x" * 70,
        "x" * 300,
        "1",
        "2",
    ),
    *(
        "hf://a/b",
        "hf://datasets/a/b",
        "s3://bucket/key",
        "file:///a",
        "file://a",
        "package://p/x",
        "hf://",
        "hf://\x1f",
    ),
    *(
        "http://a/v1",
        "https://a",
        "http://a b",
        "ftp://a",
        "s3://b\n",
        "true",
        "null",
        "1.5",
        "1e3",
        "500m",
        "16Gi",
        "Gi",
    ),
    *("0", "-1", "+1", "1Ki", "1ki", "@daily", "@never", "0 22 * * MON-FRI", "61 * * * *", "0 0 30 2 *", "*/5 * * * *"),
    *("0 0 31 4,jun *", "* * * * * *", "UTC", "Europe/Berlin", "Mars/Olympus", "Local", "+02:00", "Etc/GMT+5", "token"),
    *(
        "{prompt} {response}",
        "{prompt}",
        r"score: ([0-9])",
        "none",
        "self",
        "Always",
        "always",
        "bfloat16",
        "wandb",
        "x=1",
    ),
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    0.5,
    1.0,
    2.0,
    1.5,
    -0.5,
    1e-9,
    1e-6,
    100,
    101,
    1000,
    2**31,
    2**31 - 1,
    2**63,
    2**63 - 1,
    1e30,
)
OTHERS = (None, True, False, [], {}, [None], {"a": None}, {"a": 1}, [1], ["a"], "2", "true", 7, 7.0, 0.7)
KEYS = ("a", "cpu", "nvidia.com/gpu", "memory", "é", "a b", "name")


def documents(seed: int) -> Iterator[Document]:
    """Runs without an end; the same for the same seed."""
    chance = random.Random(seed)
    while True:
        yield _document(chance)


def _document(chance: random.Random) -> Document:
    spec: Document = {"model": {"uri": "hf://a/b"}, "prompts": {"source": {"uri": "s3://bucket/prompts.jsonl"}}}
    properties = SCHEMA["properties"]["spec"]["properties"]
    for name in chance.sample(sorted(properties), chance.choice([0, 1, 1, 2, 4, 9])):
        spec[name] = _value(properties[name], chance)
    document: Document = {
        "apiVersion": "selfreward.dev/v1alpha1",
        "kind": "SelfRewardRun",
        "metadata": {"name": "demo"},
        "spec": spec,
    }
    for _ in range(chance.choice([0, 0, 1, 1, 2])):
        _spoil(document, chance)
    return document


def _value(schema: Document, chance: random.Random) -> Any:
    """Something that the schema, but for rules across fields, is likely to take."""
    if "default" in schema and chance.random() < 0.3:
        return copy.deepcopy(schema["default"])
    if "enum" in schema:
        return chance.choice(schema["enum"])
    match schema.get("type"):
        case "object":
            return _object(schema, chance)
        case "array":
            count = chance.choice([0, 1, 2]) if not schema.get("minItems") else chance.choice([1, 2])
            return [_value(schema["items"], chance) for _ in range(count)]
        case "boolean":
            return chance.random() < 0.5
        case "integer" | "number" as kind:
            return _number(schema, kind, chance)
        case "string":
            return chance.choice(_texts(schema))
        case _:
            return chance.choice([1, 2, "500m", "16Gi", *_texts(schema)])


def _object(schema: Document, chance: random.Random) -> Document:
    if "properties" not in schema:
        inner = schema.get("additionalProperties", {"type": "string"})
        return {key: _value(inner, chance) for key in chance.sample(KEYS, chance.choice([0, 1, 2]))}
    required = schema.get("required", [])
    optional = [name for name in schema["properties"] if name not in required]
    names = [*required, *chance.sample(optional, min(len(optional), chance.choice([0, 1, 1, 2, 3])))]
    return {name: _value(schema["properties"][name], chance) for name in names}


def _number(schema: Document, kind: str, chance: random.Random) -> float:
    low, high = schema.get("minimum", 0), schema.get("maximum", schema.get("minimum", 0) + 50)
    return chance.randint(math.ceil(low), math.floor(high)) if kind == "integer" else chance.uniform(low, high)


def _texts(schema: Document) -> list[str]:
    """Texts that keep to the schema, if any do."""
    known = _FITTING.get(id(schema))
    if known is None:
        validator = Validator({"properties": {"text": schema}})
        known = [text for text in TEXTS if not validator.causes({"text": text}, None)] or list(TEXTS)
        _FITTING[id(schema)] = known
    return known


_FITTING: dict[int, list[str]] = {}


def _spoil(document: Document, chance: random.Random) -> None:
    """Change one thing of it, for better or worse."""
    places = list(_places(document))
    mapping, key = chance.choice([place for place in places if len(place[2]) > 1])[:2]
    match chance.choice(["replace", "replace", "retype", "unknown", "snake", "remove"]):
        case "replace":
            mapping[key] = copy.deepcopy(chance.choice([*OTHERS, *NUMBERS, *TEXTS]))
        case "retype":
            mapping[key] = _retyped(mapping[key])
        case "unknown" if isinstance(mapping[key], dict):
            mapping[key][chance.choice(["unknown", "Name", "uri2", "spec"])] = chance.choice(OTHERS)
        case "snake" if isinstance(mapping, dict):
            snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
            mapping[snake] = mapping.pop(key)
        case "remove":
            del mapping[key]
        case _:
            mapping[key] = None


def _retyped(value: Any) -> Any:
    """The same to the eye, and another type."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            try:
                return json.loads(value)
            except ValueError:
                return [value]
        case list():
            return dict(enumerate(value)) and {str(index): each for index, each in enumerate(value)}
        case _:
            return [value]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, Any, tuple[Any, ...]]]:
    """Every place of it: what holds it, under which key, and its path."""
    pairs = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, below in pairs:
        yield value, key, (*path, key)
        yield from _places(below, (*path, key))


def models_verdict(document: Document) -> str:
    """Empty when the models take it; else what they say."""
    try:
        checked(copy.deepcopy(document))
    except RunInvalid as error:
        return "; ".join(error.problems)
    return ""


def crds_verdict(document: Document) -> str:
    """Empty when an API server with the CRD takes it from `kubectl apply`, which asks for strict field validation."""
    item = _through_json(document)
    item.pop("status", None)
    metadata = item["metadata"] if isinstance(item.get("metadata"), dict) else {}
    wrong = [
        *(f"unknown field {path}" for path in prune_typed(metadata, "V1ObjectMeta")),
        *(cause.message for cause in typed_causes(metadata, "V1ObjectMeta")),
        *(f"unknown field {path}" for path in prune(item, SCHEMA)),
    ]
    expected = {"apiVersion": "selfreward.dev/v1alpha1", "kind": "SelfRewardRun"}
    if wrong or any(item.get(name) != value for name, value in expected.items()) or not metadata.get("name"):
        return "; ".join(map(str, wrong)) or "no such kind, or no name"
    apply_defaults(item, SCHEMA)
    causes = VALIDATOR.causes(item, None) or cel_causes(item, SCHEMA, None)
    return "; ".join(f"{cause.field}: {cause.message}" for cause in causes)


def _through_json(value: Any) -> Any:
    """What Go makes of the numbers: the shortest JSON, and an integer only where 64 bits hold it."""
    match value:
        case dict():
            return {key: _through_json(each) for key, each in value.items()}
        case list():
            return [_through_json(each) for each in value]
        case bool():
            return value
        case int() | float() if value == math.floor(value) and -(2**63) <= value < 2**63:
            return int(value)
        case int():
            return float(value)
        case _:
            return value


def differences(count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """How many runs each side takes, and one line for each that one takes and the other does not."""
    counts: Counter[str] = Counter()
    found = []
    for number, document in enumerate(itertools.islice(documents(seed), count)):
        ours, theirs = models_verdict(document), crds_verdict(document)
        counts["refused" if ours else "accepted"] += 1
        if bool(ours) is not bool(theirs):
            both = [f"models: {ours or 'accepted'}", f"CRD: {theirs or 'accepted'}"]
            found.append(f"{seed}/{number}: {'; '.join(both)}: {json.dumps(document)}")
    return counts, found


if __name__ == "__main__":
    total, differing = differences(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(*differing, sep="\n")
    print(f"{dict(total)}, {len(differing)} differences")
    sys.exit(bool(differing))
