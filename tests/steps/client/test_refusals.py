"""What an error answer says: its words, whose matter it is, and the parameters it names."""

import json
from typing import Any

import pytest
from selfreward_steps.client.refusals import read_error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"error": {"message": "too  long\\n"}}', "too long"),
        ('{"message": "bad model"}', "bad model"),
        ('{"detail": "Not Found"}', "Not Found"),
        ('{"error": "plain"}', "plain"),
        ('[{"error": {"code": 400, "message": "Unknown name"}}]', "Unknown name"),
        ('{"detail": [{"loc": ["body", "n"], "msg": "too many"}, {"loc": [], "msg": "no"}]}', "body.n: too many; : no"),
        ('{"error": {"message": null}}', '{"error": {"message": null}}'),
        ("<html>gateway</html>", "<html>gateway</html>"),
        ("", "(empty body)"),
        ("[]", "[]"),
        ("3", "3"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_the_servers_words(text: str, message: str) -> None:
    assert read_error(400, text).message == message


LONG = "This model's maximum context length is 2048 tokens. However, you requested 2300 tokens."
TOO_LARGE = (
    "'max_tokens' or 'max_completion_tokens' is too large: 1024. This model's maximum context length is 2048 tokens "
    "and your request has 1276 input tokens (1024 > 2048 - 1276)."
)


@pytest.mark.parametrize(
    ("status", "error", "of_the_row", "out_of_credit", "parameters"),
    [
        pytest.param(400, {"message": LONG}, True, False, (), id="vLLM, too long"),
        pytest.param(400, {"message": TOO_LARGE, "param": "max_tokens"}, True, False, (), id="vLLM, no room to answer"),
        pytest.param(413, {"message": "Payload Too Large"}, True, False, (), id="body too large"),
        pytest.param(422, {"message": "inputs must have less than 2048 tokens"}, True, False, (), id="TGI"),
        pytest.param(400, {"message": "content is filtered", "code": "content_filter"}, True, False, (), id="filter"),
        pytest.param(
            400,
            {"message": "temperature must be at most 1", "param": "temperature", "code": "invalid_value"},
            True,
            False,
            (),
            id="a value out of range is no parameter that it does not know",
        ),
        pytest.param(
            400,
            {"message": "max_tokens is not allowed to be above 4096", "param": "max_tokens"},
            True,
            False,
            (),
            id="too many tokens are no other name",
        ),
        pytest.param(
            400,
            {"message": "no", "code": "unsupported_parameter", "param": "seed"},
            True,
            False,
            ("seed",),
            id="a parameter by its code",
        ),
        pytest.param(400, {"message": "Unknown name seed"}, True, False, ("Unknown", "name", "seed"), id="in words"),
        pytest.param(429, {"message": "no", "code": "insufficient_quota"}, False, True, (), id="OpenAI, no credit"),
        pytest.param(429, {"message": "no", "type": "insufficient_quota"}, False, True, (), id="the same as a type"),
        pytest.param(
            429,
            {"message": "You exceeded your current quota, please check your plan and billing details. Retry in 28 s."},
            False,
            False,
            (),
            id="Google, too many in this minute",
        ),
        pytest.param(429, {"message": "Rate limit reached"}, False, False, (), id="too fast"),
        pytest.param(402, {"message": "Payment Required"}, False, True, (), id="DeepSeek, no credit"),
        pytest.param(400, {"message": "Your credit balance is too low"}, False, True, (), id="Anthropic, no credit"),
        pytest.param(403, {"message": "insufficient_funds"}, False, True, (), id="another's"),
        pytest.param(500, {"message": "insufficient balance of memory"}, False, False, (), id="no 4xx"),
        pytest.param(401, {"message": "Incorrect API key"}, False, False, (), id="key"),
    ],
)
def test_whose_matter_it_is(
    status: int, error: dict[str, Any], of_the_row: bool, out_of_credit: bool, parameters: tuple[str, ...]
) -> None:
    found = read_error(status, json.dumps({"error": error}))
    assert (found.is_of_the_row, found.is_out_of_credit, found.parameters) == (of_the_row, out_of_credit, parameters)
