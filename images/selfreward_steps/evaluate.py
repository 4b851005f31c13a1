"""Step evaluate: what one model is worth, as a judge and as an assistant (paper section 3.2).

As a judge it is measured on ranked prompts that no step trained on; as an assistant it answers held-out prompts, and
its answers are compared with M1's, the previous model's and another system's, and looked at for safety, by the judge
that the user names; tasks of lm-eval say what it has lost or kept elsewhere. What is asked is
:mod:`selfreward_steps.evaluation.work`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from selfreward_steps.attempt.runtime import Output, StepOutcome
from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.client.refused_rows import read_refused, write_refused
from selfreward_steps.client.requests import ChatRequest, Refusal, seed_for
from selfreward_steps.contract import JUDGED_RANKINGS, JudgeSettings
from selfreward_steps.evaluation.drift import drift_section
from selfreward_steps.evaluation.head_to_head import FILES, SECTIONS, comparison_report, comparison_requests
from selfreward_steps.evaluation.leaderboards import alpaca_outputs, mt_bench_answers
from selfreward_steps.evaluation.lm_eval_run import (
    LM_EVAL,
    TOKENIZER_FILES,
    lm_eval_metrics,
    lm_eval_section,
    load_tasks,
    run_tasks,
    write_results,
)
from selfreward_steps.evaluation.report import answers_section, flat, judge_section, seen_section
from selfreward_steps.evaluation.work import OPPONENTS, AnswerRow, Context, Kind, Work, read_work
from selfreward_steps.judging.custom_template import with_own_template
from selfreward_steps.judging.judgement import Judgement
from selfreward_steps.judging.judgements import judge_missing, judgements_of
from selfreward_steps.judging.safety import safety_message, safety_report, stated_safety
from selfreward_steps.rows import Message, PromptRow, QuestionRow, RefusedRow, write_json, write_rows
from selfreward_steps.store.names import MANIFEST


def run(context: Context) -> StepOutcome:
    """Commits `metrics.json` and the rows it was counted from: `judge.jsonl`, `answers.jsonl`, `comparisons.jsonl`, …

    What the server does not take is left out of what is counted, and stands in `refused.jsonl`; what training has seen
    is not asked, and stands in `seen.jsonl`.

    Raises PermanentError NoOutsideAnswers when another system's answers are to no prompt that is asked here, and
    ServingRejected when the server takes nothing at all.
    """
    work = read_work(context)
    tasks = _tasks(context, work)
    client = ServingClient(context.config.serving, alive=context.progress.alive)
    journal = context.store.journal(context.output, inputs_digest=context.inputs_digest)
    folder = context.scratch / "output"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with FinishedRows(journal, context.scratch / "spool", work.total) as finished:
        asyncio.run(_ask(context, client, work, finished))
        client.require_an_answer(known=finished.recovered)
        report = _measured(context, folder) if work.given is not None else _measure(context, work, finished, folder)
        report |= _compare(context, work, finished, folder)
        report["judge"] |= drift_section(context, folder)
        write_refused(folder, _refused(work, finished), before=read_refused(folder))
    if tasks is not None:
        report[LM_EVAL] = _run_tasks(context, tasks, folder)
    write_json(folder / "metrics.json", report)
    metrics = flat(report) | client.traffic.metrics() | lm_eval_metrics(report.get(LM_EVAL, {}))
    return StepOutcome([Output(context.output, folder)], metrics, after_commit=[journal.discard])


def _tasks(context: Context, work: Work) -> Any:
    """lm-eval's tasks, where they are asked for and the server is the model's own; None otherwise."""
    settings = context.config.settings.lm_eval
    if settings is None or work.given is not None:
        return None
    context.progress.update(0, None, "lm-eval requests")
    with context.progress.busy():
        return load_tasks(settings)


def _run_tasks(context: Context, tasks: Any, folder: Path) -> dict[str, Any]:
    settings = context.config.settings.lm_eval
    assert settings is not None
    tokenizer = context.fetch("model", TOKENIZER_FILES)
    results = run_tasks(settings, tasks, context.config.serving, tokenizer, context.progress)
    write_results(folder, results)
    return lm_eval_section(results)


async def _ask(context: Context, client: ServingClient, work: Work, finished: FinishedRows) -> None:
    def tell() -> None:
        context.progress.update(finished.count, finished.total, "requests", **client.traffic.metrics())

    tell()
    if work.ranked:
        await judge_missing(client, _judge(context), work.items, context.seed, finished, tell)
    for requests in _requests(context, work, finished):
        async for _ in _texts(client, requests, finished):
            tell()


def _judge(context: Context) -> JudgeSettings:
    return with_own_template(context.config.judge, context.config.inputs, context.fetch)


def _requests(context: Context, work: Work, finished: FinishedRows) -> Iterator[Iterator[ChatRequest]]:
    """One kind after another, since the later ones hold the answers to the earlier ones."""
    if work.given is None:
        yield _answer_requests(context, work.ranges[Kind.ANSWER], work.held_out)
        yield _answer_requests(context, work.ranges[Kind.SAFETY_ANSWER], work.safety)
        for turn in range(max((len(row["turns"]) for row in work.questions), default=0)):
            yield _turn_requests(context, work, finished, turn)
    for opponent in OPPONENTS:
        sampling = context.config.judge.sampling
        yield comparison_requests(work, opponent, _answers(work, finished), sampling, context.seed)
    yield _safety_requests(context, work, finished)


async def _texts(client: ServingClient, requests: Iterator[ChatRequest], finished: FinishedRows) -> AsyncIterator[int]:
    """Send what is missing of `requests` and keep the text of each answer."""
    missing = InOrder(request for request in requests if request.key not in finished)
    async for answer in client.stream(missing):
        if isinstance(answer, Refusal):
            finished.refuse(answer.key, {"refused": answer.why})
        else:
            (choice,) = answer.choices
            cut_off = {"truncated": True} if choice.finish_reason == "length" else {}
            await finished.add(answer.key, {"text": choice.text, **cut_off})
        yield answer.key


def _text(finished: FinishedRows, key: int) -> str | None:
    """The answer to a request; None where the server did not take it, or what it depends on."""
    return finished.row(key).get("text") if key in finished else None


def _texts_of(finished: FinishedRows, keys: Iterable[int]) -> list[str]:
    """The answers that there are to these requests."""
    return [text for key in keys if (text := _text(finished, key)) is not None]


def _cut_off(finished: FinishedRows, keys: Iterable[int]) -> int:
    """How many answers to these requests were cut off at `sampling.maxTokens`."""
    return sum(key in finished and "truncated" in finished.row(key) for key in keys)


def _answer_requests(context: Context, keys: range, rows: list[PromptRow]) -> Iterator[ChatRequest]:
    for key, row in zip(keys, rows, strict=True):
        yield ChatRequest(key, row["prompt"], context.config.settings.sampling, seed_for(context.seed, row["id"]))


def _turn_requests(context: Context, work: Work, finished: FinishedRows, turn: int) -> Iterator[ChatRequest]:
    """The questions that have such a turn, with what was said before it; none where a turn before was not taken."""
    for question, keys in _turns(work):
        said = _texts_of(finished, keys[:turn])
        if len(said) == turn < len(keys):
            history: list[Message] = []
            for asked, answered in zip(question["turns"], said, strict=False):
                history += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
            seed = seed_for(context.seed, question["id"], "turn", turn)
            sampling = context.config.settings.sampling
            yield ChatRequest(keys[turn], question["turns"][turn], sampling, seed, history=tuple(history))


def _turns(work: Work) -> Iterator[tuple[QuestionRow, range]]:
    """Each question with the keys of its turns."""
    start = work.ranges[Kind.TURN].start
    for question in work.questions:
        stop = start + len(question["turns"])
        yield question, range(start, stop)
        start = stop


def _safety_requests(context: Context, work: Work, finished: FinishedRows) -> Iterator[ChatRequest]:
    answers = _safety_answers(work, finished)
    for key, row in zip(work.ranges[Kind.SAFETY], work.safety, strict=False):
        if (said := answers.get(row["id"])) is not None:
            seed = seed_for(context.seed, row["id"], "safety")
            yield ChatRequest(key, safety_message(row["prompt"], said), context.config.judge.sampling, seed)


def _answers(work: Work, finished: FinishedRows) -> Mapping[str, str]:
    """The model's own answers to the held-out prompts, by id."""
    return work.given if work.given is not None else _said(work.held_out, work.ranges[Kind.ANSWER], finished)


def _safety_answers(work: Work, finished: FinishedRows) -> Mapping[str, str]:
    if work.given_safety is not None:
        return work.given_safety
    return _said(work.safety, work.ranges[Kind.SAFETY_ANSWER], finished)


def _said(rows: list[PromptRow], keys: range, finished: FinishedRows) -> dict[str, str]:
    said = ((row["id"], _text(finished, key)) for row, key in zip(rows, keys, strict=True))
    return {identifier: text for identifier, text in said if text is not None}


def _measured(context: Context, folder: Path) -> dict[str, Any]:
    """What the part on the model's own server has found: its files, and the report to go on with."""
    source = context.fetch("measured")
    for path in source.iterdir():
        if path.is_file() and path.name != MANIFEST:
            shutil.copy(path, folder / path.name)
    report: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return report


def _measure(context: Context, work: Work, finished: FinishedRows, folder: Path) -> dict[str, Any]:
    """The model as a judge and what it answers."""
    judgements = (Judgement(**finished.row(key)) for key in work.ranges[Kind.JUDGEMENT])
    judged = [judgements_of(context.config.judge, len(row["answers"]), judgements) for row in work.ranked]
    section, judge_rows = judge_section(work.ranked, judged, _judge(context), context.seed)
    write_rows(folder / JUDGED_RANKINGS, judge_rows)
    answers = _answers(work, finished)
    rows = _answered(work.held_out, answers)
    write_rows(folder / "answers.jsonl", rows)
    cut_off = _cut_off(finished, work.ranges[Kind.ANSWER])
    report: dict[str, Any] = {"judge": section, "answers": answers_section(rows, cut_off, context.seed)}
    if work.seen:
        write_rows(folder / "seen.jsonl", work.seen)
        report["seen"] = seen_section(work.seen)
    model = f"{context.config.run}-{context.output.rpartition('/')[2]}"
    outputs = alpaca_outputs(((row["prompt"], row["answer"]) for row in rows), model)
    (folder / "model_outputs.json").write_text(json.dumps(outputs, indent=2, ensure_ascii=False) + "\n", "utf-8")
    if work.questions:
        whole = [
            (question, said) for question, keys in _turns(work) if len(said := _texts_of(finished, keys)) == len(keys)
        ]
        lines = mt_bench_answers([question for question, _ in whole], [said for _, said in whole], model)
        write_rows(folder / "mt_bench.jsonl", lines)
        report["mt_bench"] = {"questions": len(whole), "truncated": _cut_off(finished, work.ranges[Kind.TURN])}
    if work.safety:
        write_rows(folder / "safety.jsonl", _answered(work.safety, _safety_answers(work, finished)))
        report["safety_answers"] = {"truncated": _cut_off(finished, work.ranges[Kind.SAFETY_ANSWER])}
    return report


def _answered(rows: list[PromptRow], answers: Mapping[str, str]) -> list[AnswerRow]:
    """The prompts that have an answer, with it."""
    return [
        {"id": row["id"], "prompt": row["prompt"], "answer": answers[row["id"]]} for row in rows if row["id"] in answers
    ]


def _compare(context: Context, work: Work, finished: FinishedRows, folder: Path) -> dict[str, Any]:
    """The answers against others', and their safety."""
    report: dict[str, Any] = {}
    answers = _answers(work, finished)
    for opponent in work.opponents:
        replies = [_text(finished, key) for key in work.ranges[opponent]]
        section, rows = comparison_report(work, opponent, answers, replies)
        write_rows(folder / FILES[opponent], rows)
        report[SECTIONS[opponent]] = section
    if work.safety and work.judges_safety:
        replies = [_text(finished, key) for key in work.ranges[Kind.SAFETY]]
        said = _safety_answers(work, finished)
        judged = [(row, reply) for row, reply in zip(work.safety, replies, strict=True) if reply is not None]
        verdicts = [stated_safety(reply) for _, reply in judged]
        rows = [
            row | {"answer": said[row["id"]], "safe": safe} for (row, _), safe in zip(judged, verdicts, strict=True)
        ]
        write_rows(folder / "safety.jsonl", rows)
        report["safety"] = safety_report(verdicts)
    return report


def _refused(work: Work, finished: FinishedRows) -> Iterator[RefusedRow]:
    """What the server did not take, by what was asked and of which row."""
    for key, name in work.names():
        if key in finished and (why := finished.row(key).get("refused")) is not None:
            yield {"id": name, "why": why}
