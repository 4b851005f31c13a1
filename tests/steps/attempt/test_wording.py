"""No message of a step names a folder that the user did not: fetched, downloaded and own files have other names."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from selfreward_steps.attempt import launch
from selfreward_steps.attempt.wording import in_users_words
from selfreward_steps.contract import StepResult, parse_config
from steps.attempt.launching import Place
from steps.tiny_model import make_tiny_model

SCRATCH = Path("/tmp/selfreward")
OWN = "/tmp/selfreward/demo/iteration-1/pairs/0123456789abcdef"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (f"{OWN}/inputs/m1/config.json: not JSON", "m1/config.json: not JSON"),
        (f"[Errno 5] Input/output error: '{OWN}/s3/data/a/b.jsonl'", "[Errno 5] Input/output error: 's3://data/a/b.jsonl'"),
        (f"{OWN}/hub/ann/tiny/0a1b2c/config.json is bad", "hf://ann/tiny/config.json is bad"),
        (f"{OWN}/hub/ann/tiny/0a1b2c: no tokenizer", "hf://ann/tiny: no tokenizer"),
        (f"cannot open {OWN}/models/m0/tokenizer.json", "cannot open models/m0/tokenizer.json"),
        (f"{OWN}: 5 bytes free", "the step's scratch space: 5 bytes free"),
        ("/tmp/selfreward/other: gone", "the step's scratch space: gone"),
        ("/tmp/selfreward", "the step's scratch space"),
        ("file:///tmp/selfreward-data/a.jsonl, line 1", "file:///tmp/selfreward-data/a.jsonl, line 1"),
        ("/data/store/m1: no such file", "/data/store/m1: no such file"),
    ],
)  # fmt: skip
def test_what_lies_in_scratch_is_told_by_another_name(message: str, told: str) -> None:
    assert in_users_words(message, SCRATCH) == told


@dataclass
class Given:
    """What one import is given: a model and instructions, good ones at first."""

    folder: Path
    model: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    def spoil(self, name: str, text: str | bytes) -> None:
        (self.folder / "model" / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def _torn(given: Given) -> None:
    weights = given.folder / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _config(given: Given, **change: Any) -> None:
    path = given.folder / "model" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def _data(given: Given, text: str) -> None:
    (given.folder / "in.jsonl").write_text(text)


SPOILT: dict[str, Callable[[Given], object]] = {
    "no model": lambda given: given.model.update(uri="file:///nowhere/m"),
    "an empty package": lambda given: given.model.update(uri="package://selfreward_steps/no/such.gguf"),
    "a package's own file": lambda given: given.model.update(uri="package://selfreward_steps/rows.py"),
    "a package's folder": lambda given: given.model.update(uri="package://selfreward_steps/store"),
    "torn weights": _torn,
    "no weights": lambda given: (given.folder / "model" / "model.safetensors").unlink(),
    "no tokenizer": lambda given: (given.folder / "model" / "tokenizer.json").unlink(),
    "a broken tokenizer": lambda given: given.spoil("tokenizer.json", "{}"),
    "a broken configuration": lambda given: given.spoil("config.json", "{"),
    "an unknown architecture": lambda given: _config(given, model_type="own", architectures=["Own"]),
    "a missing layer": lambda given: _config(given, num_hidden_layers=3),
    "another size": lambda given: _config(given, intermediate_size=63),
    "a broken generation configuration": lambda given: given.spoil("generation_config.json", "["),
    "a broken template": lambda given: given.model.update(chatTemplate="{% if %}"),
    "a file as model": lambda given: given.model.update(uri=(given.folder / "in.jsonl").as_uri()),
    "no data": lambda given: given.data.update(uri=(given.folder / "none.jsonl").as_uri()),
    "a folder as data": lambda given: given.data.update(uri=given.folder.as_uri()),
    "torn data": lambda given: _data(given, '{"prompt": "a", "completion"'),
    "wrong columns": lambda given: _data(given, '{"title": "a"}\n'),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_failed_import_names_what_was_given(what: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _imported(Given(place.root), what, place.root / "scratch", place.uri, monkeypatch)
    assert not result.succeeded
    assert result.reason != "Unexpected", result.message
    for own in (str(place.root / "scratch"), "site-packages", str(Path(launch.__file__).parents[1])):
        assert own not in result.message
    assert "\n" not in result.message


def _imported(given: Given, what: str, scratch: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> StepResult:
    make_tiny_model(given.folder / "model")
    _data(given, '{"prompt": "Say hi", "completion": "Hi"}\n')
    given.model["uri"], given.data["uri"] = (given.folder / "model").as_uri(), (given.folder / "in.jsonl").as_uri()
    SPOILT[what](given)
    monkeypatch.setenv("SELFREWARD_SCRATCH", str(scratch))
    config = {
        "run": "demo", "step": "import", "store": {"uri": store}, "output": "seed",
        "models": [{"source": given.model, "output": "m0"}], "seedData": {"instructions": given.data},
    }  # fmt: skip
    return launch._attempt(parse_config(json.dumps(config)), None)[0]
