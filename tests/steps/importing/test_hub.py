"""The hub's real client against a hub on the loopback: what it brings, and what its refusals mean to the user."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from steps.importing.fake_hub import COMMIT, Hub, serving

ASK = Path(__file__).with_name("ask_hub.py")
ROWS = [{"prompt": f"Question {number}"} for number in range(5)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    root = tmp_path_factory.mktemp("hub")
    model, data = root / "model", root / "data"
    for folder in (model, data, model / "original"):
        folder.mkdir()
    for name in (
        "config.json",
        "model.safetensors",
        "pytorch_model.bin",
        "tiny.gguf",
        "original/x.safetensors",
        "a.py",
    ):
        (model / name).write_text(name)
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    held = {"models/o/open": model, "models/o/gated": model, "datasets/o/data": data, "datasets/o/gated": data}
    with serving(Hub(held, gated={"models/o/gated", "datasets/o/gated"})) as served:
        yield served


def ask(hub_url: str, home: Path, *cases: dict[str, Any]) -> list[Any]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("HF_") and "proxy" not in name.lower()
    }
    ended = subprocess.run(
        [sys.executable, str(ASK)],
        input=json.dumps(cases),
        env={**environment, "HF_ENDPOINT": hub_url, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found: list[Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_models(hub: Hub, tmp_path: Path) -> None:
    whole, one, *refused, gated = ask(
        hub.url,
        tmp_path,
        {"uri": "hf://o/open"},
        {"uri": "hf://o/open/tiny.gguf", "revision": COMMIT},
        {"uri": "hf://o/gated"},
        {"uri": "hf://o/gated", "token": "hf_wrong"},
        {"uri": "hf://o/none"},
        {"uri": "hf://o/open", "revision": "v9"},
        {"uri": "hf://o/open/none.gguf"},
        {"uri": "hf://alone"},
        {"uri": "hf://o/what is this"},
        {"uri": "hf://o/gated", "token": "hf_right"},
    )
    assert whole == [COMMIT, ["config.json", "model.safetensors"]], "no pickle, no GGUF, no code, no second copy"
    assert one == [COMMIT, "tiny.gguf"]
    assert gated == whole
    expected = [
        "PermanentError HubAccessDenied model.uri: hf://o/gated: gated: no token was given: set model.tokenSecretRef",
        "PermanentError HubAccessDenied model.uri: hf://o/gated: gated: the token given may not read it",
        "PermanentError HubNotFound model.uri: hf://o/none: no such repository, or a private one (no token was given",
        "PermanentError HubNotFound model.revision: 'v9': hf://o/open has no such branch, tag or commit",
        "PermanentError HubNotFound model.uri: hf://o/open/none.gguf: the repository has no file none.gguf",
        "PermanentError HubNotFound model.uri: hf://alone: use hf://OWNER/NAME",
        "PermanentError HubNotFound model.uri: hf://o/what is this: ",
    ]
    assert [answer[: len(text)] for answer, text in zip(refused, expected, strict=True)] == expected


def test_datasets(hub: Hub, tmp_path: Path) -> None:
    rows, limited, gated, *refused = ask(
        hub.url,
        tmp_path,
        {"uri": "hf://datasets/o/data"},
        {"uri": "hf://datasets/o/data", "limit": 2},
        {"uri": "hf://datasets/o/gated", "token": "hf_right"},
        {"uri": "hf://datasets/o/data", "split": "test"},
        {"uri": "hf://datasets/o/data/other"},
        {"uri": "hf://datasets/o/none"},
        {"uri": "hf://datasets/o/data", "revision": "v9"},
        {"uri": "hf://datasets/o/gated"},
    )
    assert (rows, limited, gated) == (ROWS, ROWS[:2], ROWS)
    split, configuration, none, revision, closed = refused
    assert "seedData.eft: hf://datasets/o/data, split 'test', after row 0: " in split
    assert "['train']" in split, "the splits there are"
    assert "'other' not found. Available: ['default']" in configuration
    assert none.startswith("PermanentError HubNotFound seedData.eft.uri: hf://datasets/o/none: ")
    assert revision.startswith("PermanentError HubNotFound seedData.eft.revision: 'v9': hf://datasets/o/data has no")
    assert closed.startswith("PermanentError HubAccessDenied seedData.eft.uri: hf://datasets/o/gated: ")
    assert "no token was given: set seedData.eft.tokenSecretRef" in closed


def test_a_hub_that_is_down_or_busy_is_nobodys_fault(tmp_path: Path) -> None:
    cases = [{"uri": "hf://o/open"}, {"uri": "hf://datasets/o/data"}]
    down = ask("http://127.0.0.1:9", tmp_path / "down", *cases)
    with serving(Hub(failing=True)) as hub:
        busy = ask(hub.url, tmp_path / "busy", *cases)
    for answer, uri in zip([*down, *busy], ["hf://o/open", "hf://datasets/o/data"] * 2, strict=True):
        assert answer.startswith("InfrastructureError HubUnavailable "), answer
        assert uri in answer
