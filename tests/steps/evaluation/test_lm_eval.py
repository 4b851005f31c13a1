"""lm-eval itself, on tasks of our own and a server that plays the model: its numbers are those counted here."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from bench import Bench, endpoint
from openai_server import OpenAIServer, running
from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.contract import InputRef, LmEvalSettings
from selfreward_steps.evaluation import lm_eval_run
from selfreward_steps.evaluation.lm_eval_model import LoadedTasks
from server_faults import Fault, FaultKind
from steps.evaluation.own_tasks import (
    COLOURS,
    completion,
    evaluate,
    expected_accuracy,
    put_tokenizer,
    questions,
    tokenizer,
    write_task,
)
from test_evaluate import model
from tiny_model import make_tokenizer
from tokenizers.processors import TemplateProcessing


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
            "sure": {"alias": "sure", "sample_len": 5, "acc,none": 1.0, "acc_stderr,none": 0.0},
            "loose": {"alias": "loose", "sample_len": 5, "bits,none": float("nan"), "word_perplexity,none": 12.5},
        },
        "group_subtasks": {"both": ["one"]},
        "higher_is_better": {"one": {"acc": True}, "loose": {"word_perplexity": False}},
    }
    section = lm_eval_run.lm_eval_section(results)
    assert section["one/acc"]["group"] == "both"
    assert (section["one/acc"]["stderr"], section["one/acc"]["low"]) == (None, None)
    assert (section["sure/acc"]["stderr"], section["sure/acc"]["low"]) == (0.0, None), "five of five are no certainty"
    assert section["loose/word_perplexity"]["higher_is_better"] is False
    assert lm_eval_run.lm_eval_metrics(section) == {
        "lm_eval/both/acc": 0.5,
        "lm_eval/sure/acc": 1.0,
        "lm_eval/loose/word_perplexity": 12.5,
    }
