"""lm-eval where a task or the server cannot be used: who must act is told, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from bench import Bench, endpoint
from openai_server import OpenAIServer, running
from plausible_model import Body
from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.contract import LmEvalSettings
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError, StepFailed
from selfreward_steps.evaluation import lm_eval_run
from server_faults import Fault, FaultKind
from steps.evaluation.own_tasks import (
    IMPATIENT,
    completion,
    evaluate,
    tokenizer,
    write_task,
)
from test_evaluate import model


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param(
            {"tasks": ["colours", "arc_eesy"]},
            ["evaluation.lmEval.tasks: 'arc_eesy'", "no file in", "did you mean arc_easy"],
            id="misspelt",
        ),
        pytest.param(
            {"tasks": ["colours"], "include_path": "/nowhere"},
            ["evaluation.lmEval.includePath: /nowhere: there is no such folder"],
            id="no folder",
        ),
    ],
)
def test_an_unknown_task_is_told_before_anything_is_asked(
    bench: Bench, tasks: Path, settings: dict[str, Any], words: list[str]
) -> None:
    asked = LmEvalSettings.model_validate({"include_path": str(tasks), **settings})
    with running(OpenAIServer(brain=model(2), completions=completion)) as server:
        with pytest.raises(PermanentError) as caught:
            bench.run(evaluate(bench, server, asked))
        assert server.requests == []
    assert caught.value.reason == "TaskNotFound"
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_task_whose_data_are_not_there(tasks: Path) -> None:
    (tasks / "colours.jsonl").unlink()
    with pytest.raises(PermanentError, match=r"evaluation\.lmEval\.tasks: colours: .*mend the task's file") as caught:
        lm_eval_run.load_tasks(LmEvalSettings(tasks=["colours"], include_path=str(tasks)))
    assert caught.value.reason == "TaskBroken"


def test_a_hub_out_of_reach_is_no_fault_of_the_run(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    far = {"dataset_path": "allenai/ai2_arc", "dataset_kwargs": {}, "output_type": "generate_until"}
    write_task(tasks, "far", far)
    with pytest.raises(InfrastructureError, match=r"tasks: far: the data cannot be reached: .*HF_ENDPOINT") as caught:
        lm_eval_run.load_tasks(LmEvalSettings(tasks=["far"], include_path=str(tasks)))
    assert caught.value.reason == "HubUnavailable"


def test_a_task_that_runs_what_the_model_writes(tasks: Path) -> None:
    write_task(tasks, "colours", {**yaml.safe_load((tasks / "colours.yaml").read_text()), "unsafe_code": True})
    with pytest.raises(PermanentError, match="colours: runs code that the model writes") as caught:
        lm_eval_run.load_tasks(LmEvalSettings(tasks=["colours"], include_path=str(tasks)))
    assert caught.value.reason == "TaskUnsafe"


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tenacity", None)
    with pytest.raises(PermanentError, match=r"LOCK=judge-lm-eval .*pip install 'selfreward\[lm-eval\]'") as caught:
        lm_eval_run.load_tasks(LmEvalSettings(tasks=["arc_easy", "mmlu"]))
    assert caught.value.reason == "MissingPackage"
    assert "evaluation.lmEval.tasks: arc_easy, mmlu:" in str(caught.value)


Choice = Callable[[Body], Body]


@pytest.mark.parametrize(
    ("completions", "faults", "kind", "reason", "words"),
    [
        pytest.param(None, [], PermanentError, "ServingRejected", "must have /v1/completions", id="no such path"),
        pytest.param(
            completion,
            [Fault(FaultKind.STATUS, times=999, status=400)],
            PermanentError,
            "ServingRejected",
            "answered 400",
            id="refused",
        ),
        pytest.param(
            completion,
            [Fault(FaultKind.STATUS, times=999, status=503)],
            InfrastructureError,
            "ServingUnavailable",
            "503",
            id="down",
        ),
        pytest.param(
            completion,
            [Fault(FaultKind.RESET, times=999)],
            InfrastructureError,
            "ServingUnavailable",
            "does not answer lm-eval",
            id="reset",
        ),
        pytest.param(
            lambda body: {"text": "", "logprobs": None}, [], StepFailed, "ServingNonsense", "`echo`", id="no logprobs"
        ),
    ],
)
def test_a_server_that_does_not_do(
    tasks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    completions: Choice | None,
    faults: list[Fault],
    kind: type[StepError],
    reason: str,
    words: str,
) -> None:
    monkeypatch.setenv("KEY", "secret")
    settings = LmEvalSettings(tasks=["colours"], limit=2, include_path=str(tasks))
    tokenizer().save_pretrained(tmp_path / "tokenizer")
    manager = lm_eval_run.load_tasks(settings)
    with running(OpenAIServer(completions=completions, faults=faults, api_key="secret")) as server:
        serving = endpoint(server, api_key_variable="KEY")
        with pytest.raises(kind, match=words) as caught:
            lm_eval_run.run_tasks(
                settings, manager, serving, tmp_path / "tokenizer", ProgressReporter(enabled=False), IMPATIENT
            )
    assert caught.value.reason == reason
    assert "serving" in str(caught.value)
    assert "secret" not in str(caught.value) + caplog.text
