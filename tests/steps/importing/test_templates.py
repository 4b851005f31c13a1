"""A judge template from a ConfigMap or a file: checked when it is imported, and what every judging step then asks."""

from pathlib import Path

import pytest
from bench import Bench
from generation import JUDGEMENTS, judge, put_responses
from openai_server import OpenAIServer, running
from plausible_model import Reply
from selfreward_steps.contract import (
    TEMPLATE_VARIABLE,
    ConfigMapKeyRef,
    CustomTemplate,
    ImportConfig,
    InputRef,
    JudgeSettings,
)
from selfreward_steps.errors import PermanentError

TEXT = "Is it good? {prompt} <response>{response}</response>\n"


def imported(bench: Bench, template: CustomTemplate) -> JudgeSettings:
    """Import the template; returns the settings of a judge that has it."""
    bench.run(ImportConfig(**bench.frame("seed"), models=[], template=template))
    return JudgeSettings(template="custom", custom_template=template)


def file_template(bench: Bench, text: str | bytes) -> CustomTemplate:
    path = bench.folder / "template.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return CustomTemplate(uri=path.as_uri(), score_pattern=r"Punkte: (\d+)", min_score=1, max_score=10)


def test_a_file_is_asked_and_read_with_its_own_pattern_and_range(bench: Bench) -> None:
    settings = imported(bench, file_template(bench, TEXT))
    with running(OpenAIServer(brain=lambda body, draw: Reply("Gut. Punkte: 7"))) as server:
        config = judge(bench, server, put_responses(bench, 2), settings=settings)
        inputs = {**config.inputs, "template": InputRef(artifact="judge-template")}
        bench.run(config.model_copy(update={"inputs": inputs}))
    assert server.requests[0].prompt.startswith("Is it good? What is 0?")
    assert {score for row in bench.rows(JUDGEMENTS, "judgements") for score in row["scores"]} == {7.0}


def test_a_config_map_comes_as_a_variable(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TEMPLATE_VARIABLE, TEXT)
    imported(bench, CustomTemplate(config_map_ref=ConfigMapKeyRef(name="judge")))
    assert bench.store.open("judge-template", "template.txt").read().decode() == TEXT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("Rate {response}", "has no placeholder {prompt}", id="no placeholder"),
        pytest.param(" \n", "is empty", id="empty"),
        pytest.param(b"\xff\xfe{", "is no text file", id="no text"),
    ],
)
def test_what_no_judge_could_use_is_told_at_import(bench: Bench, text: str | bytes, words: str) -> None:
    with pytest.raises(PermanentError, match=words) as caught:
        imported(bench, file_template(bench, text))
    assert caught.value.reason == "BadTemplate"
    assert f"judge.customTemplate.uri: file://{bench.folder}" in str(caught.value)


def test_a_missing_file_is_named(bench: Bench, tmp_path: Path) -> None:
    template = CustomTemplate(uri=(tmp_path / "nowhere.txt").as_uri())
    with pytest.raises(PermanentError, match=r"judge\.customTemplate\.uri: .*nowhere\.txt: there is no such file"):
        imported(bench, template)
