"""Keys and tokens as people put them into secrets, and messages that repeat them."""

from __future__ import annotations

from pathlib import Path

import pytest
from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.client.client import authorization
from selfreward_steps.contract import ModelImport, ServingEndpoint
from selfreward_steps.credentials import credential, without_credentials
from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.seed.datasets import import_seed
from selfreward_steps.importing.sources import Place
from steps.importing.seed.seeding import config_of


@pytest.mark.parametrize("text", ["sk-1234", " sk-1234", "sk-1234\n", "sk-1234\r\n", "\tsk-1234 "])
def test_what_stands_around_a_key_is_not_the_key(text: str) -> None:
    assert credential({"KEY": text}, "KEY", "judge") == "sk-1234"


def test_a_header_carries_a_blank_within_a_key() -> None:
    assert credential({"KEY": "the run's own key\n"}, "KEY", "judge") == "the run's own key"


@pytest.mark.parametrize("text", ["sk-1234\nsk-5678", "sk-1234é", "sk-1234\x7f", "\u202esk-1234"])
def test_a_key_that_no_header_can_carry_is_told_and_not_shown(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", text)
    endpoint = ServingEndpoint(url="http://judge/v1", model="m", api_key_variable="KEY", field="judge.endpoint")
    with pytest.raises(PermanentError, match=r"^judge.endpoint.apiKeySecretRef: environment variable KEY") as caught:
        authorization(endpoint)
    assert caught.value.reason == "BadCredential"
    assert "1234" not in str(caught.value)


def test_a_token_of_data_and_of_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path / "scratch", ProgressReporter(enabled=False))
    config = config_of({"eft": {"uri": "hf://datasets/o/data"}}, tokenVariables={"eft": "TOKEN"})
    with pytest.raises(PermanentError, match=r"^seedData.eft.tokenSecretRef: ") as of_data:
        import_seed(config, place, tmp_path / "seed", {"TOKEN": "hf_1\nhf_2"})
    from selfreward_steps.importing.model import import_model

    monkeypatch.setenv("TOKEN", "hf_1\nhf_2")
    item = ModelImport.model_validate({"source": {"uri": "hf://o/m"}, "output": "m0", "tokenVariable": "TOKEN"})
    with pytest.raises(PermanentError, match=r"^model.tokenSecretRef: ") as of_model:
        import_model(item, "model", place)
    assert {of_data.value.reason, of_model.value.reason} == {"BadCredential"}


def test_a_server_that_repeats_a_key_is_quoted_without_it() -> None:
    environment = {
        "SELFREWARD_JUDGE_API_KEY": "sk-12345678\n",
        "VLLM_API_KEY": "run-12345678",
        "SELFREWARD_TOKEN_PUBLISH": "hf_12345678",
        "AWS_SESSION_TOKEN": "aws-12345678",
        "HF_TOKEN": "no",
        "HOME": "/home/user",
    }
    said = "no sk-12345678, run-12345678, hf_12345678, aws-12345678 in /home/user"
    assert without_credentials(said, environment) == "no [secret], [secret], [secret], [secret] in /home/user"
