"""Rows that are longer than the model's context, counted by the model's own tokenizer before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
from selfreward_steps.contract import (
    CustomTemplate,
    ImportConfig,
    JudgeMode,
    JudgeSampling,
    JudgeSettings,
    PromptGenerator,
    PromptSettings,
    ResponseSettings,
    Sampling,
    StoreConfig,
)
from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.lengths import too_long_rows
from selfreward_steps.rows import write_rows
from steps.tiny_model import make_tiny_model
from transformers import AutoTokenizer

JUDGE = JudgeSettings(
    template="custom",
    custom_template=CustomTemplate(text="Rate. {prompt} {response}"),
    sampling=JudgeSampling(max_tokens=16),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its context has 512 tokens."""
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def seed(folder: Path, **rows: list[dict[str, Any]]) -> Path:
    for name, each in rows.items():
        write_rows(folder / f"{name}.jsonl", each)
    return folder


def ranking(identifier: str, *answers: str) -> dict[str, Any]:
    ranked = [{"content": text, "rank": rank} for rank, text in enumerate(answers)]
    return {"id": identifier, "prompt": "What is rain?", "answers": ranked}


def config(limit: int | None = None, answer: int = 16, **prompts: Any) -> ImportConfig:
    return ImportConfig(
        run="demo",
        store=StoreConfig(uri="file:///store"),
        output="seed",
        models=[],
        prompts_source=PromptSettings(**prompts),
        responses=ResponseSettings(sampling=Sampling(max_tokens=answer)),
        max_model_length=limit,
    )


def needed(model: Path, text: str, answer: int) -> int:
    tokenizer = AutoTokenizer.from_pretrained(model)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
    )
    return len(tokenizer(asked, add_special_tokens=False)["input_ids"]) + answer


def test_what_does_not_fit_is_counted_and_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [ranking("short", "Water.", "Snow."), ranking("long", "Water.", "Water. " * 600)]
    assert too_long_rows(config(), JUDGE, model, seed(tmp_path, rankings=rows)) == {"rankings_too_long": 1}
    told = capsys.readouterr().err
    assert "seedData.rankings: row long/1 needs " in told
    assert "with judge.sampling.maxTokens, more than the model's context 512" in told
    assert told.count("\n") == 1


def test_what_fits_is_not_told(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = seed(tmp_path, rankings=[ranking("short", "Water.", "Snow.")])
    assert too_long_rows(config(), JUDGE, model, folder) == {}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("spare", "long"), [pytest.param(0, {}, id="fits"), pytest.param(-1, {"rankings_too_long": 1}, id="by one")]
)
def test_the_limit_is_the_servers_to_the_token(model: Path, tmp_path: Path, spare: int, long: dict[str, float]) -> None:
    most = needed(model, "Rate. What is rain? " + "Water. " * 20, 16)
    folder = seed(tmp_path, rankings=[ranking("r", "Water. " * 20, "Snow.")])
    assert too_long_rows(config(most + spare), JUDGE, model, folder) == long


def test_a_judgement_by_token_needs_one(model: Path, tmp_path: Path) -> None:
    by_token = JUDGE.model_copy(update={"mode": JudgeMode.LOGPROB})
    folder = seed(tmp_path, rankings=[ranking("r", "Water. " * 20, "Snow.")])
    limit = needed(model, "Rate. What is rain? " + "Water. " * 20, 1)
    assert too_long_rows(config(limit), by_token, model, folder) == {}
    assert too_long_rows(config(limit), JUDGE, model, folder) == {"rankings_too_long": 1}


def test_prompts_are_counted_where_they_are_answered(model: Path, tmp_path: Path) -> None:
    rows = [{"id": "p0", "prompt": "What is rain?"}, {"id": "p1", "prompt": "Why? " * 300}]
    folder = seed(tmp_path, prompts=rows)
    assert too_long_rows(config(generator=PromptGenerator.FILE), JUDGE, model, folder) == {"prompts_too_long": 1}
    # Otherwise they are shown as demonstrations, of which only the short ones are.
    assert too_long_rows(config(), JUDGE, model, folder) == {}


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        pytest.param({"rankings": [ranking("r", "Water.", "Snow.")]}, "seedData.rankings", id="rankings"),
        pytest.param({"prompts": [{"id": "p", "prompt": "What is rain?"}]}, "prompts.source", id="prompts"),
    ],
)
def test_a_length_that_leaves_room_for_none_is_refused(
    model: Path, tmp_path: Path, rows: dict[str, Any], field: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        too_long_rows(config(20, generator=PromptGenerator.FILE), JUDGE, model, seed(tmp_path, **rows))
    assert caught.value.reason == "TooLong"
    assert str(caught.value).startswith(f"{field}: none of ")
    assert "and serving.maxModelLength is 20: raise it" in str(caught.value)


def test_the_models_own_context_refuses_nothing(model: Path, tmp_path: Path) -> None:
    """A server may go beyond it, as `transformers serve` does: it is told, and the server decides."""
    folder = seed(tmp_path, rankings=[ranking("r", "Water. " * 600, "Snow. " * 600)])
    assert too_long_rows(config(), JUDGE, model, folder) == {"rankings_too_long": 2}
