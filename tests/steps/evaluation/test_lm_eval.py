"""lm-eval itself, on tasks of our own and a server that plays the model: its numbers are those counted here."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from bench import Bench, endpoint
from openai_server import Fault, FaultKind, OpenAIServer, running
from plausible_model import Body
from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.client.retrying import RetryPolicy
from selfreward_steps.contract import EvaluateConfig, EvaluationSettings, InputRef, JudgeSettings, LmEvalSettings
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError, StepFailed
from selfreward_steps.evaluation import lm_eval_run
from selfreward_steps.evaluation.lm_eval_model import LoadedTasks
from selfreward_steps.store.digests import digest_of
from test_evaluate import model
from tiny_model import make_tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

tokenizer = cache(make_tokenizer)
IMPATIENT = RetryPolicy(outage_seconds=0, least_attempts=2, nonsense_attempts=2)
COLOURS = ["red", "green", "blue", "dark yellow"]
WORDS = ["tea", "milk", "salt", "rice", "corn"]


def questions(count: int) -> list[dict[str, Any]]:
    return [
        {"question": f"Which colour has number {n}?", "choices": COLOURS, "answer": n * n % 4} for n in range(count)
    ]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder with a multiple-choice task and one that is answered freely."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    words = [{"question": f"Repeat: {word}", "answer": word} for word in WORDS]
    for name, rows in (("colours", questions(12)), ("repeating", words)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metric = {"aggregation": "mean", "higher_is_better": True}
    colours = {
        "output_type": "multiple_choice",
        "doc_to_choice": "choices",
        "metric_list": [{"metric": "acc", **metric}],
    }
    repeating = {
        "output_type": "generate_until",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8},
        "filter_list": [{"name": "last-word", "filter": [_regex(r"(\w+)$"), {"function": "take_first"}]}],
        "metric_list": [{"metric": "exact_match", **metric}],
    }
    for name, content in (("colours", colours), ("repeating", repeating)):
        write_task(folder, name, content)
    return folder


def _regex(pattern: str) -> dict[str, str]:
    return {"function": "regex", "regex_pattern": pattern}


def write_task(folder: Path, name: str, content: dict[str, Any]) -> None:
    files = {"test": str(folder / f"{name}.jsonl")}
    common = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
        "test_split": "test",
        "doc_to_text": "{{question}}",
        "doc_to_target": "answer",
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(common | content))


def logprob(token: int, place: int) -> float:
    """What the pretended model gives a token at a place of the prompt."""
    return -((37 * token + 5 * place) % 11 + 1) / 4


def completion(body: Body) -> Body:
    """As vLLM answers `echo` with `logprobs`; else the last word but for the third, which comes out wrong."""
    (prompt,) = body["prompt"]
    if not body.get("echo"):
        word = tokenizer().decode(prompt).split()[-1]
        return {"text": f"I say {'sugar' if word == WORDS[2] else word}", "finish_reason": "stop"}
    stated = [None, *(logprob(token, place) for place, token in enumerate(prompt) if place), -0.5]
    likeliest = [None if value is None else {"x": max(value, -0.25)} for value in stated]
    return {"text": "", "finish_reason": "length", "logprobs": {"token_logprobs": stated, "top_logprobs": likeliest}}


def expected_accuracy(count: int) -> float:
    """Counted without lm-eval: the choice whose tokens add up to most."""
    right = 0
    for row in questions(count):
        asked = len(tokenizer()(row["question"]).input_ids)
        sums = []
        for choice in row["choices"]:
            whole = tokenizer()(f"{row['question']} {choice}").input_ids
            sums.append(sum(logprob(token, place) for place, token in enumerate(whole) if place >= asked))
        right += sums.index(max(sums)) == row["answer"]
    return right / count


def put_tokenizer(bench: Bench, own: PreTrainedTokenizerFast | None = None) -> InputRef:
    folder = bench.folder / "put" / "m1"
    (own or tokenizer()).save_pretrained(folder)
    bench.store.commit("m1", folder, inputs_digest=digest_of("m1"), step="import")
    return InputRef(artifact="m1")


def evaluate(
    bench: Bench, server: OpenAIServer, settings: LmEvalSettings, made: InputRef | None = None, **options: Any
) -> EvaluateConfig:
    seed = bench.put("seed", prompts=[{"id": f"{n}", "prompt": f"Say {n}"} for n in range(3)])
    return EvaluateConfig(
        **bench.frame("evaluation/m1", seed=seed, model=made or put_tokenizer(bench)),
        settings=EvaluationSettings(prompts=3, lm_eval=settings),
        judge=JudgeSettings(),
        serving=endpoint(server, **options),
    )


def test_scores_are_in_the_metrics_and_in_status(
    bench: Bench, tasks: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KEY", "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "another's")
    settings = LmEvalSettings(tasks=["colours", "repeating"], include_path=str(tasks))
    with running(OpenAIServer(brain=model(2), completions=completion, api_key="secret", max_model_len=300)) as server:
        result = bench.run(evaluate(bench, server, settings, api_key_variable="KEY"))
    accuracy = expected_accuracy(12)
    assert 0 < accuracy < 1
    stderr = math.sqrt(accuracy * (1 - accuracy) / 11)
    section = bench.document("evaluation/m1", "metrics")["lm_eval"]
    assert section["colours/acc"] == {
        "value": pytest.approx(accuracy, abs=1e-6),
        "low": pytest.approx(accuracy - 1.959964 * stderr, abs=1e-5),
        "high": pytest.approx(accuracy + 1.959964 * stderr, abs=1e-5),
        "count": 12,
        "stderr": pytest.approx(stderr, abs=1e-6),
        "higher_is_better": True,
    }
    assert (section["repeating/exact_match,last-word"]["value"], section.keys()) == (
        0.8,
        {"colours/acc", "repeating/exact_match,last-word"},
    )
    assert result.metrics["lm_eval/colours/acc"] == pytest.approx(accuracy, abs=1e-6)
    assert result.metrics["lm_eval/repeating/exact_match,last-word"] == 0.8
    assert result.metrics["answers_prompts"] == 3, "its own measurements are there too"
    own = bench.document("evaluation/m1", "lm_eval_results")
    assert own["results"]["colours"]["acc,none"] == pytest.approx(accuracy)
    asked = [seen for seen in server.requests if "prompt" in seen.body]
    assert len(asked) == 12 * 4 + 5
    assert {seen.authorization for seen in server.requests} == {"Bearer secret"}
    kept = bench.store.open("evaluation/m1", "lm_eval_results.json").read().decode()
    assert "secret" not in kept + caplog.text


def test_a_limit_asks_less(bench: Bench, tasks: Path) -> None:
    settings = LmEvalSettings(tasks=["colours"], limit=4, include_path=str(tasks))
    with running(OpenAIServer(brain=model(2), completions=completion)) as server:
        bench.run(evaluate(bench, server, settings))
    assert len([seen for seen in server.requests if "prompt" in seen.body]) == 4 * 4
    score = bench.document("evaluation/m1", "metrics")["lm_eval"]["colours/acc"]
    assert (score["value"], score["count"]) == (expected_accuracy(4), 4)


def test_examples_in_the_prompt(bench: Bench, tasks: Path) -> None:
    settings = LmEvalSettings(tasks=["repeating"], num_fewshot=2, include_path=str(tasks))
    write_task(tasks, "repeating", {**yaml.safe_load((tasks / "repeating.yaml").read_text()), "fewshot_split": "test"})
    with running(OpenAIServer(brain=model(2), completions=completion)) as server:
        bench.run(evaluate(bench, server, settings))
    prompts = [tokenizer().decode(seen.body["prompt"][0]) for seen in server.requests if "prompt" in seen.body]
    assert {prompt.count("Repeat: ") for prompt in prompts} == {3}


def test_a_tokenizer_that_begins_every_text_begins_these_too(bench: Bench, tasks: Path) -> None:
    own = make_tokenizer()
    begin = (own.bos_token, own.bos_token_id)
    own.backend_tokenizer.post_processor = TemplateProcessing(single=f"{begin[0]} $A", special_tokens=[begin])
    settings = LmEvalSettings(tasks=["colours", "repeating"], limit=1, include_path=str(tasks))
    with running(OpenAIServer(brain=model(2), completions=completion)) as server:
        model_input = put_tokenizer(bench, own)
        config = evaluate(bench, server, settings, model_input)
        # Nothing else to measure: the tasks alone.
        bench.run(config.model_copy(update={"inputs": {"model": model_input}}))
    prompts = [seen.body["prompt"][0] for seen in server.requests]
    assert len(prompts) == 4 + 1
    assert {(prompt[0], prompt.count(begin[1])) for prompt in prompts} == {(begin[1], 1)}


def test_another_judges_part_keeps_the_scores_and_asks_for_none(bench: Bench, tasks: Path) -> None:
    settings = LmEvalSettings(tasks=["repeating"], include_path=str(tasks))
    with running(OpenAIServer(brain=model(2), completions=completion)) as server:
        config = evaluate(bench, server, settings)
        bench.run(config.model_copy(update={"output": "answers/m1", "compares": False}))
    with running(OpenAIServer("judge", brain=model(9))) as judge:
        inputs = {"measured": InputRef(artifact="answers/m1")}
        result = bench.run(config.model_copy(update={"inputs": inputs, "serving": endpoint(judge)}))
    assert judge.requests == []
    assert result.metrics["lm_eval/repeating/exact_match,last-word"] == 0.8
    assert bench.document("evaluation/m1", "metrics")["lm_eval"].keys() == {"repeating/exact_match,last-word"}
    assert bench.document("evaluation/m1", "lm_eval_results")["results"]["repeating"]["sample_len"] == 5


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


def test_a_server_that_comes_back_is_asked_again(bench: Bench, tasks: Path) -> None:
    settings = LmEvalSettings(tasks=["colours"], include_path=str(tasks))
    down = Fault(FaultKind.STATUS, times=3, status=503, match="[[")
    with running(OpenAIServer(brain=model(2), completions=completion, faults=[down])) as server:
        result = bench.run(evaluate(bench, server, settings))
    assert len([seen for seen in server.requests if seen.status == 503]) == 3
    assert result.metrics["lm_eval/colours/acc"] == pytest.approx(expected_accuracy(12), abs=1e-6)


def test_a_group_has_a_score_of_its_own_and_prompts_are_cut_to_what_the_server_takes(
    tasks: Path, tmp_path: Path
) -> None:
    tokenizer().save_pretrained(tmp_path / "tokenizer")
    one = yaml.safe_load((tasks / "colours.yaml").read_text())
    for name in ("first", "second"):
        (tasks / f"{name}.yaml").write_text(yaml.safe_dump(one | {"task": name}))
    group = {"group": "both", "task": ["first", "second"], "aggregate_metric_list": [{"metric": "acc"}]}
    (tasks / "both.yaml").write_text(yaml.safe_dump(group))
    settings = LmEvalSettings(tasks=["both"], limit=5, include_path=str(tasks))
    # lm-eval's own tasks take ten seconds to list.
    manager = LoadedTasks(include_path=str(tasks), include_defaults=False)
    with running(OpenAIServer(completions=completion, max_model_len=24)) as server:
        progress = ProgressReporter(enabled=False)
        found = lm_eval_run.run_tasks(settings, manager, endpoint(server), tmp_path / "tokenizer", progress)
    assert max(len(tokenizer()(f"{row['question']} {COLOURS[3]}").input_ids) for row in questions(5)) > 23
    assert {len(seen.body["prompt"][0]) for seen in server.requests} == {23}
    section = lm_eval_run.lm_eval_section(found)
    assert {name: (each["count"], each.get("group")) for name, each in section.items()} == {
        "both/acc": (10, None),
        "first/acc": (5, "both"),
        "second/acc": (5, "both"),
    }
    assert lm_eval_run.lm_eval_metrics(section) == {"lm_eval/both/acc": section["first/acc"]["value"]}


def test_of_a_group_status_has_its_own_numbers_only() -> None:
    results = {
        "results": {
            "both": {"alias": "both", "sample_len": 30, "acc,none": 0.5, "acc_stderr,none": 0.1},
            "one": {"alias": " - one", "sample_len": 10, "acc,none": 0.25, "acc_stderr,none": "N/A"},
            "loose": {"alias": "loose", "sample_len": 5, "bits,none": float("nan"), "word_perplexity,none": 12.5},
        },
        "group_subtasks": {"both": ["one"]},
        "higher_is_better": {"one": {"acc": True}, "loose": {"word_perplexity": False}},
    }
    section = lm_eval_run.lm_eval_section(results)
    assert section["one/acc"]["group"] == "both"
    assert (section["one/acc"]["stderr"], section["one/acc"]["low"]) == (None, None)
    assert section["loose/word_perplexity"]["higher_is_better"] is False
    assert lm_eval_run.lm_eval_metrics(section) == {"lm_eval/both/acc": 0.5, "lm_eval/loose/word_perplexity": 12.5}
