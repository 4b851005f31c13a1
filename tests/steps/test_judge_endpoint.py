"""An outside judge that is down, slow, rate-limited or of another kind: named by the user's own field, and no score."""

from typing import Any

import pytest
from bench import Bench, endpoint
from generation import JUDGEMENTS, judge, put_responses
from openai_server import OpenAIServer, running
from selfreward_steps.client.retrying import RetryPolicy
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError, StepFailed
from server_faults import Fault, FaultKind


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = RetryPolicy(outage_seconds=0.3, first_pause=0.01, longest_pause=0.05, nonsense_attempts=3)
    monkeypatch.setattr("selfreward_steps.client.client.RetryPolicy", lambda: policy)


def refused(bench: Bench, server: OpenAIServer, **options: Any) -> StepError:
    """How judging ends."""
    serving = endpoint(server, 2, field="judge.endpoint", **options)
    with pytest.raises(StepError) as caught:
        bench.run(judge(bench, server, put_responses(bench, 2), serving=serving))
    assert bench.store.read_manifest(JUDGEMENTS) is None, "nothing to train on"
    return caught.value


FOREVER = 10_000
BROKEN: dict[str, tuple[Fault, type[StepError], str, list[str]]] = {
    "broken": (
        Fault(FaultKind.STATUS, times=FOREVER, status=503),
        InfrastructureError,
        "ServingUnavailable",
        ["does not answer", "HTTP 503"],
    ),
    "rate-limited for good": (
        Fault(FaultKind.STATUS, times=FOREVER, status=429, message="quota exceeded"),
        InfrastructureError,
        "ServingUnavailable",
        ["HTTP 429: quota exceeded"],
    ),
    "slow": (
        Fault(FaultKind.SLOW, times=FOREVER, seconds=5),
        InfrastructureError,
        "ServingUnavailable",
        ["took longer than 0.2 s"],
    ),
    "no JSON": (
        Fault(FaultKind.NONSENSE, times=FOREVER),
        StepFailed,
        "ServingNonsense",
        ["no chat completion", "is not JSON: '<html>502"],
    ),
    "another API's JSON": (
        Fault(FaultKind.EMPTY, times=FOREVER),
        StepFailed,
        "ServingNonsense",
        ["no choices, but object", "check that it is an OpenAI-compatible server"],
    ),
    "the wrong key": (
        Fault(FaultKind.STATUS, times=FOREVER, status=401, message="bad key"),
        PermanentError,
        "ServingRejected",
        ["answered 401: bad key", "check the API key"],
    ),
}


@pytest.mark.parametrize(("fault", "kind", "reason", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_wrong_is_named(
    bench: Bench, fault: Fault, kind: type[StepError], reason: str, words: list[str]
) -> None:
    with running(OpenAIServer(faults=[fault])) as server:
        error = refused(bench, server, request_timeout_seconds=0.2)
    assert (type(error), error.reason) == (kind, reason)
    assert str(error).startswith("judge.endpoint")
    assert [word for word in words if word not in str(error)] == []


def test_a_judge_that_is_down_is_infrastructure(bench: Bench) -> None:
    with running(OpenAIServer()) as server:
        pass
    error = refused(bench, server)
    assert (type(error), error.reason) == (InfrastructureError, "ServingUnavailable")
    assert str(error).startswith(f"judge.endpoint.url {server.url} (model tiny) does not answer")


def test_a_rate_limit_that_passes_costs_only_time(bench: Bench) -> None:
    limited = Fault(FaultKind.STATUS, times=3, status=429, retry_after="0.05")
    with running(OpenAIServer(faults=[limited])) as server:
        result = bench.run(judge(bench, server, put_responses(bench, 2)))
    assert result.metrics["retries"] == 3
    assert result.metrics["parse_rate"] == 1


def test_a_missing_key_names_the_field_that_holds_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY", raising=False)
    with running(OpenAIServer()) as server:
        error = refused(bench, server, api_key_variable="KEY")
    assert (type(error), error.reason) == (PermanentError, "MissingApiKey")
    assert str(error).startswith("judge.endpoint.apiKeySecretRef: ")
