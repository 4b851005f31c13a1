"""What is a secret goes, by name, shape and value; what a maintainer must read stays."""

from __future__ import annotations

import pytest
from selfreward.cli.bundle.secrecy import REMOVED, cleaned, secret_values, without_secrets

PLANTED = "Pl4ntedS3cret"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"GET https://user:{PLANTED}@host/x", id="password in a url"),
        pytest.param(f"https://{PLANTED}@host/x", id="token in a url"),
        pytest.param(f"redis://:{PLANTED}@host", id="password alone"),
        pytest.param(f"https://b/k?X-Amz-Signature={PLANTED}&x=1", id="signed url"),
        pytest.param(f"https://b/k?a=1&sig={PLANTED}", id="shared access signature"),
        pytest.param(f"https://b/k?key={PLANTED}", id="key in a query"),
        pytest.param(f"Authorization: Bearer {PLANTED}", id="bearer"),
        pytest.param(f"authorization: Basic {PLANTED}==", id="basic"),
        pytest.param(f"HF_TOKEN={PLANTED} python", id="shell"),
        pytest.param(f"'api_key': ['{PLANTED}'], 'model': 'm1'", id="vllm's arguments"),
        pytest.param(f'{{"aws_secret_access_key": "{PLANTED}"}}', id="json"),
        pytest.param(f'"{{\\"password\\": \\"{PLANTED}\\"}}"', id="json in json"),
        pytest.param(f"password: {PLANTED}", id="yaml"),
        pytest.param(f"vllm serve m --api-key {PLANTED} --port 1", id="flag"),
        pytest.param(f"vllm serve m --api-key={PLANTED}", id="flag with ="),
        pytest.param(f"using hf_{PLANTED} of the user", id="hub"),
        pytest.param(f"sk-proj-{PLANTED}", id="a judge's key"),
        pytest.param(f"-----BEGIN RSA PRIVATE KEY-----\n{PLANTED}\n-----END RSA PRIVATE KEY-----", id="pem"),
        pytest.param(f"-----BEGIN PRIVATE KEY-----\n{PLANTED}", id="torn pem"),
        pytest.param(f"eyJhbGciOi.{PLANTED}.c2ln", id="jwt"),
    ],
)
def test_a_secret_in_a_text(text: str) -> None:
    assert PLANTED not in cleaned(text)
    assert REMOVED in cleaned(text)


@pytest.mark.parametrize(
    "text",
    [
        "wrote 512 completion_tokens: 512, max_tokens=2048, 3.1 tokens/s",
        '{"kind":"progress","done":3,"total":9,"unit":"prompts","metrics":{"tokens":3}}',
        "http://demo-serve-m1:8000/v1/completions answered 503",
        "s3://bucket/runs/namespace=default/demo/m1",
        "key: dpo-1, step: dpo",
        "secretKeyRef: {name: hub, key: token}",
    ],
)
def test_what_stays(text: str) -> None:
    assert cleaned(text) == text


def test_a_resource() -> None:
    config = '{"step":"judge","uri":"s3://b"}'
    document = {
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": PLANTED}, "managedFields": []},
        "env": [
            {"name": "PLAIN", "value": "anything at all"},
            {"name": "HUB", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
            {"name": "SELFREWARD_CONFIG", "value": config},
        ],
        "args": ["--api-key", PLANTED, "--port", "1"],
        "headers": {"Authorization": PLANTED},
        "apiKeySecretRef": {"name": "mine", "key": "key"},
        "maxTokens": 5,
    }
    assert without_secrets(document) == {
        "metadata": {"annotations": {}},
        "env": [
            {"name": "PLAIN", "value": REMOVED},
            {"name": "HUB", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
            {"name": "SELFREWARD_CONFIG", "value": config},
        ],
        "args": ["--api-key", REMOVED, "--port", "1"],
        "headers": {"Authorization": REMOVED},
        "apiKeySecretRef": {"name": "mine", "key": "key"},
        "maxTokens": 5,
    }


def test_a_value_behind_a_secret_name_goes_wherever_it_stands() -> None:
    document = {"env": [{"name": "WANDB_API_KEY", "value": PLANTED}, {"name": "MODE", "value": "offline"}]}
    values = secret_values(
        [document, {"args": ["--token", "an0ther"]}], {"AWS_SECRET_ACCESS_KEY": "th3third", "A": "b" * 9}
    )
    assert values == {PLANTED, "an0ther", "th3third"}
    assert (
        cleaned(f"said {PLANTED}, an0ther and th3third offline", values) == "said REMOVED, REMOVED and REMOVED offline"
    )
