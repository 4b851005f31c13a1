"""Step prompts: new prompts for the iteration (paper section 2.2), written by a model or read from the user's file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from selfreward_steps.attempt.runtime import Output, StepContext, StepOutcome
from selfreward_steps.client.answered import FinishedRows
from selfreward_steps.client.client import ServingClient
from selfreward_steps.client.requests import Refusal
from selfreward_steps.contract import PromptGenerator, PromptsConfig, PromptSettings
from selfreward_steps.errors import PermanentError
from selfreward_steps.prompting.filters import Pool
from selfreward_steps.prompting.words import length_in_words
from selfreward_steps.prompting.writing import PromptWriting
from selfreward_steps.rows import (
    InstructionRow,
    PromptRow,
    RankingRow,
    count_rows,
    first_question,
    read_rows,
    write_json,
    write_rows,
)

Context = StepContext[PromptsConfig]


def run(context: Context) -> StepOutcome:
    """Commits `prompts.jsonl` with exactly `count` prompts, and `statistics.json`; those for validation by themselves.

    Raises PermanentError TooFewPrompts when the file or the attempts do not suffice, and NoDemonstrations.
    """
    if context.config.settings.generator is PromptGenerator.FILE:
        return _outcome(context, _from_file(context), {"prompts": context.config.settings.count}, {}, [])
    return _written(context)


def _from_file(context: Context) -> list[str]:
    """Iteration t's own part: rows (t - 1)·count to t·count, those for validation included."""
    iteration, count = context.config.iteration or 1, _wanted(context).count
    path = context.fetch("seed") / "prompts.jsonl"
    given = count_rows(path) if path.exists() else 0
    if given < iteration * count:
        raise PermanentError(
            "TooFewPrompts",
            f"prompts.source: has {given} prompts, but iteration {iteration} takes {(iteration - 1) * count + 1} to "
            f"{iteration * count} ({_counted(context)}): give more prompts, or lower prompts.count or iterations",
        )
    rows = islice(read_rows(path, PromptRow), (iteration - 1) * count, iteration * count)
    return [row["prompt"] for row in rows]


def _written(context: Context) -> StepOutcome:
    config, settings = context.config, _wanted(context)
    if config.serving is None:
        raise PermanentError(
            "BadConfiguration", f"serving: is missing, but prompts.generator {settings.generator} needs a server"
        )
    seeds = _demonstrations(context)
    pool = _pool(context)
    known = len(pool)
    client = ServingClient(config.serving, alive=context.progress.alive)
    journal = context.store.journal(context.output, inputs_digest=context.inputs_digest)
    limit = settings.count * settings.max_attempts_per_prompt
    with FinishedRows(journal, context.scratch / "spool", limit) as finished:
        recovered = finished.count
        writing = PromptWriting(settings, seeds, pool, seed=context.seed, recovered=_earlier(finished))
        asyncio.run(_write(context, client, writing, finished))
        client.require_an_answer(known=finished.recovered)
    if len(writing.accepted) < settings.count:
        raise _too_few(context, writing)
    statistics = {
        "prompts": config.settings.count,
        "attempts": writing.attempts,
        "acceptance_rate": len(writing.accepted) / writing.attempts,
        "demonstrations": len(seeds),
        "pool": known,
        **{f"dropped_{_snake(reason)}": count for reason, count in sorted(writing.drops.items())},
    }
    traffic = {"recovered": recovered, **client.traffic.metrics()}
    return _outcome(context, writing.accepted, statistics, traffic, [journal.discard])


def _outcome(
    context: Context,
    prompts: list[str],
    statistics: dict[str, float],
    traffic: dict[str, float],
    after: list[Callable[[], None]],
) -> StepOutcome:
    """`traffic` is told but not committed: the artifact must be the same however often the step was interrupted."""
    iteration, count = context.config.iteration or 1, context.config.settings.count
    rows = [{"id": f"{iteration}-{number:06d}", "prompt": prompt} for number, prompt in enumerate(prompts)]
    folder = context.scratch / "output"
    folder.mkdir(exist_ok=True)
    write_rows(folder / "prompts.jsonl", rows[:count])
    write_json(folder / "statistics.json", statistics)
    outputs = [Output(context.output, folder)]
    if context.config.validation is not None:
        aside = context.scratch / "validation"
        aside.mkdir(exist_ok=True)
        write_rows(aside / "prompts.jsonl", rows[count:])
        outputs.insert(0, Output(context.config.validation.output, aside))
    return StepOutcome(outputs, {**statistics, **traffic}, after_commit=after)


def _wanted(context: Context) -> PromptSettings:
    """The settings, with as many prompts as there are to be in all."""
    settings, validation = context.config.settings, context.config.validation
    return settings if validation is None else settings.model_copy(update={"count": settings.count + validation.count})


def _counted(context: Context) -> str:
    validation = context.config.validation
    more = "" if validation is None else f", training.dpo.selection.prompts: {validation.count}"
    return f"prompts.count: {context.config.settings.count}{more}"


async def _write(context: Context, client: ServingClient, writing: PromptWriting, finished: FinishedRows) -> None:
    count = _wanted(context).count
    context.progress.update(0, count, "prompts")
    async for answer in client.stream(writing):
        if isinstance(answer, Refusal):
            await writing.refused(answer.key)
            # Every request shows other demonstrations of the same seed: where all of so many are refused, all would be.
            client.require_an_answer(known=finished.recovered, is_shard=True)
        else:
            choice = answer.choices[0]
            await finished.add(answer.key, {"text": choice.text, "finish_reason": choice.finish_reason})
            await writing.answered(answer.key, choice.text, choice.finish_reason)
        context.progress.update(len(writing.accepted), count, "prompts", **_live(writing))


def _earlier(finished: FinishedRows) -> Callable[[int], tuple[str, str] | None]:
    """Answers that an earlier attempt of this step got; those of this attempt are never asked for."""
    known = frozenset(index for index in range(finished.total) if index in finished)

    def recovered(index: int) -> tuple[str, str] | None:
        if index not in known:
            return None
        row = finished.row(index)
        return row["text"], row["finish_reason"]

    return recovered


def _live(writing: PromptWriting) -> dict[str, float]:
    return {"acceptance_rate": len(writing.accepted) / writing.attempts} if writing.attempts else {}


def _demonstrations(context: Context) -> list[str]:
    """The seed's prompts that may be shown: instructions, else the user's prompts, else those with ranked answers."""
    seed = context.fetch("seed") if "seed" in context.config.inputs else None
    for kind in (_instructions, _given, _ranked) if seed is not None else ():
        assert seed is not None
        # A demonstration as long as a page would crowd out the others and the answer.
        short = (text for text in kind(seed) if 0 < length_in_words(text) <= context.config.settings.max_words)
        if found := list(dict.fromkeys(short)):
            return found
    raise PermanentError(
        "NoDemonstrations",
        f"prompts.generator: {context.config.settings.generator} needs prompts to show the model, and there are none "
        f"of at most {context.config.settings.max_words} words: give seedData.instructions or prompts.source",
    )


def _pool(context: Context) -> Pool:
    """What a new prompt must differ from; the ranked prompts too, since the judge is tested on them."""
    pool = Pool()
    seed = context.fetch("seed")
    for kind in (_instructions, _given, _ranked):
        for prompt in kind(seed):
            pool.add(prompt)
    for role in sorted(context.config.inputs):
        if role.startswith("prompts"):
            for row in read_rows(context.fetch(role) / "prompts.jsonl", PromptRow):
                pool.add(row["prompt"])
    return pool


def _instructions(seed: Path) -> Iterator[str]:
    for row in _rows(seed / "instructions.jsonl", InstructionRow):
        yield next((message["content"] for message in row["messages"] if message["role"] == "user"), "")


def _given(seed: Path) -> Iterator[str]:
    for row in _rows(seed / "prompts.jsonl", PromptRow):
        yield row["prompt"]


def _ranked(seed: Path) -> Iterator[str]:
    for row in _rows(seed / "rankings.jsonl", RankingRow):
        yield first_question(row)


def _rows(path: Path, kind: type[Any]) -> Iterator[Any]:
    return read_rows(path, kind) if path.exists() else iter(())


def _too_few(context: Context, writing: PromptWriting) -> PermanentError:
    settings = _wanted(context)
    drops = ", ".join(f"{count} {reason}" for reason, count in writing.drops.most_common())
    return PermanentError(
        "TooFewPrompts",
        f"prompts.maxAttemptsPerPrompt: {writing.attempts} completions gave {len(writing.accepted)} of "
        f"{settings.count} new prompts (dropped: {drops}): lower prompts.count, raise prompts.rougeLMax or "
        "prompts.sampling.maxTokens, or use another prompts.generator",
    )


def _snake(reason: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in reason)
