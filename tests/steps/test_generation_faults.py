"""Steps respond and judge when the server or the step itself breaks: the same bytes, and nothing asked twice."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from bench import Bench
from generation import judge, put_prompts, put_responses, respond
from openai_server import OpenAIServer, running
from selfreward_steps.client.retrying import RetryPolicy
from selfreward_steps.contract import (
    StepConfig,
    StepResult,
)
from server_faults import Fault, FaultKind


@pytest.mark.parametrize("step", ["respond", "judge"])
def test_faults_change_no_byte_of_the_artifact(bench: Bench, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = RetryPolicy(first_pause=0.01, longest_pause=0.05)
    monkeypatch.setattr("selfreward_steps.client.client.RetryPolicy", lambda: quick)
    source = put_prompts(bench, 20) if step == "respond" else put_responses(bench)
    make = respond if step == "respond" else judge
    faults = [
        Fault(FaultKind.STATUS, status=429, retry_after="0.1", times=3, skip=2),
        Fault(FaultKind.STATUS, status=500, times=3, skip=4),
        Fault(FaultKind.RESET, times=2, skip=6),
        Fault(FaultKind.NONSENSE, times=2, skip=8),
        Fault(FaultKind.SHORT, times=1, skip=9),
    ]
    outputs = []
    for plan in ([], faults):
        with running(OpenAIServer(faults=plan)) as server:
            result = bench.run(make(bench, server, source))  # type: ignore[operator]
        bench.store.delete("iteration-1")
        outputs.append(result.outputs)
    assert outputs[0] == outputs[1]
    assert result.metrics["retries"] == 11
    assert all(fault.times == 0 for fault in faults)


def process(config: StepConfig, bench: Bench) -> subprocess.Popen[str]:
    """The step as a pod runs it."""
    environment = {
        **os.environ,
        "SELFREWARD_CONFIG": config.model_dump_json(by_alias=True),
        "SELFREWARD_SCRATCH": str(bench.folder / "scratch"),
        "SELFREWARD_TERMINATION_LOG": str(bench.folder / "result.json"),
    }
    command = [sys.executable, "-m", "selfreward_steps", config.step.value]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(step: subprocess.Popen[str], bench: Bench) -> StepResult:
    out, err = step.communicate(timeout=60)
    assert step.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["reason"] == "Committed"
    return StepResult.model_validate_json((bench.folder / "result.json").read_text())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("step", ["respond", "judge"])
def test_a_kill_loses_only_what_was_in_flight(bench: Bench, step: str, how: signal.Signals) -> None:
    source = put_prompts(bench, 40) if step == "respond" else put_responses(bench, 10)
    make: Any = respond if step == "respond" else judge
    server = OpenAIServer(delay=0.1)
    with running(server):
        config = make(bench, server, source)
        first = process(config, bench)
        assert first.stdout is not None
        for line in first.stdout:
            if json.loads(line).get("done", 0) >= 15:
                break
        first.send_signal(how)
        first.communicate(timeout=30)
        assert first.returncode == (-9 if how is signal.SIGKILL else 143)
        asked = len(server.requests)
        result = finish(process(config, bench), bench)
    assert asked < 40
    # What was answered but not yet journaled, and what was in flight, is asked again: two lanes' worth at most.
    assert 40 <= len(server.requests) <= 40 + 8
    assert result.metrics["recovered"] >= 15
    assert result.metrics["recovered"] + result.metrics["requests"] == 40
    interrupted = result.outputs
    bench.store.delete("iteration-1")
    with running(OpenAIServer()) as calm:
        assert bench.run(make(bench, calm, source)).outputs == interrupted
