"""What a server's init container lays out: the artifact's files, and defaults that let a request sample."""

import json
from pathlib import Path

import pytest
from selfreward_steps.contract import FETCH_VARIABLE, MODEL_DIR_VARIABLE, FetchConfig, StoreConfig
from selfreward_steps.fetch import main
from selfreward_steps.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"a": 1}')
    (model / "generation_config.json").write_text('{"eos_token_id": 2, "do_sample": false}')
    store = open_store((tmp_path / "store").as_uri())
    store.commit("m1", model, inputs_digest="sha256:" + "0" * 64, step="sft")
    return store


def fetch(store: Store, place: Path, artifact: str = "m1", digest: str | None = None) -> int:
    config = FetchConfig(store=StoreConfig(uri=store.uri), artifact=artifact, digest=digest)
    return main({FETCH_VARIABLE: config.model_dump_json(by_alias=True), MODEL_DIR_VARIABLE: str(place)})


def test_the_served_folder_has_the_files_and_samples(store: Store, tmp_path: Path) -> None:
    place = tmp_path / "models" / "m1"
    for _ in range(2):  # an init container may run again in the same pod
        assert fetch(store, place) == 0
    assert json.loads((place / "config.json").read_text()) == {"a": 1}
    assert json.loads((place / "generation_config.json").read_text()) == {"eos_token_id": 2, "do_sample": True}
    assert store.verify("m1") == []


@pytest.mark.parametrize(
    ("artifact", "digest", "code", "word"),
    [
        pytest.param("m9", None, 69, "InputMissing", id="not-committed"),
        pytest.param("m1", "sha256:" + "1" * 64, 64, "InputChanged", id="another-model"),
    ],
)
def test_failures_are_one_line(
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    artifact: str,
    digest: str | None,
    code: int,
    word: str,
) -> None:
    assert fetch(store, tmp_path / "place", artifact, digest) == code
    said = capsys.readouterr().err
    assert said.startswith(word)
    assert said.count("\n") == 1
