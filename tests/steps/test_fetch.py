"""What a server's init container lays out: the artifact's files, and defaults that let a request sample."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from selfreward_steps.contract import FETCH_VARIABLE, MODEL_DIR_VARIABLE, FetchConfig, StoreConfig
from selfreward_steps.fetch import main
from selfreward_steps.store import Store, open_store
from tiny_model import make_tiny_model
from transformers import AutoModelForCausalLM, set_seed
from transformers.cli.serving.chat_completion import ChatCompletionHandler


@pytest.fixture
def store(tmp_path: Path) -> Store:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"a": 1}')
    own = {"top_k": 20, "repetition_penalty": 1.1, "temperature": 0.6, "forced_eos_token_id": 7, "min_p": 0.1}
    stated = {"eos_token_id": [2, 3], "pad_token_id": 0, "do_sample": False, **own}
    (model / "generation_config.json").write_text(json.dumps(stated))
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
    assert json.loads((place / "generation_config.json").read_text()) == {
        "eos_token_id": [2, 3],
        "pad_token_id": 0,
        "do_sample": True,
        "top_k": 0,
    }
    assert store.verify("m1") == []


@pytest.mark.parametrize("own", [{}, {"top_k": 1, "repetition_penalty": 1.5}], ids=["none of its own", "its own"])
def test_transformers_samples_as_it_is_asked(tmp_path: Path, own: dict[str, float]) -> None:
    """At temperature 1 and top-p 1 from all tokens, whatever the model's defaults say: as its server asks it."""
    model = make_tiny_model(tmp_path / "model")
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": 1, **own}))
    store = open_store((tmp_path / "store").as_uri())
    store.commit("m1", model, inputs_digest="sha256:" + "0" * 64, step="sft")
    place = tmp_path / "models" / "m1"
    assert fetch(store, place) == 0
    served = AutoModelForCausalLM.from_pretrained(place)
    handler = ChatCompletionHandler(SimpleNamespace(), SimpleNamespace(_compile=False))  # type: ignore[arg-type]
    config = handler._build_generation_config(
        {"temperature": 1.0, "top_p": 1.0, "max_tokens": 1}, served.generation_config
    )
    config.num_return_sequences = 800
    set_seed(0)
    start = torch.tensor([[2, 3, 4]])
    drawn = Counter(served.generate(start, generation_config=config)[:, -1].tolist())
    chances = served(start).logits[0, -1].softmax(-1).detach()
    # A tiny random model finds all its tokens about as likely: the defaults would draw from 50 of them, or from one.
    expected = float((1 - (1 - chances) ** 800).sum())
    assert len(drawn) > 100
    assert len(drawn) == pytest.approx(expected, rel=0.15)


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
