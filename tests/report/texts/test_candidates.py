"""Prompts with their candidates, from the artifacts that lie there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from report.made_run import MadeRun
from selfreward.report.artifacts import Artifacts
from selfreward.report.texts.candidates import candidates as read_candidates
from selfreward.report.texts.model import PromptReport, Sample
from selfreward_steps.store import open_store


def read(made: MadeRun, candidates: int = 10_000) -> Sample[PromptReport]:
    run, store = made.make()
    return read_candidates(Artifacts(store), run.spec.iterations, candidates)


def committed(folder: Path, responses: Iterable[Any], judgements: Iterable[Any], pairs: Iterable[Any]) -> PromptReport:
    """The one prompt of a store that holds these rows."""
    store = open_store((folder / "store").as_uri())
    for artifact, name, rows in (
        ("iteration-1/responses/shard-00000", "responses.jsonl", responses),
        ("iteration-1/judgements/shard-00000", "judgements.jsonl", judgements),
        ("iteration-1/pairs", "pairs.jsonl", pairs),
    ):
        staged = folder / artifact
        staged.mkdir(parents=True)
        (staged / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        store.commit(artifact, staged, inputs_digest="sha256:" + "0" * 64, step="test")
    (prompt,) = read_candidates(Artifacts(store), 1, 100).rows
    return prompt


def answers(*texts: str) -> list[dict[str, Any]]:
    candidates = [{"text": text, "finish_reason": "stop"} for text in texts]
    return [{"id": "a", "prompt": "Why?", "candidates": candidates, "tokens": 1}]


def judged(*scores: list[float | None]) -> list[dict[str, Any]]:
    return [
        {"id": "a", "candidate": place, "scores": each, "critiques": ["because"] * len(each), "tokens": 1}
        for place, each in enumerate(scores)
    ]


def pair(chosen: tuple[str, float], rejected: tuple[str, float] | None) -> list[dict[str, Any]]:
    row: dict[str, Any] = {"id": "a", "prompt": [{"role": "user", "content": "Why?"}]}
    for role, each in (("chosen", chosen), ("rejected", rejected)):
        if each is not None:
            row |= {role: [{"role": "assistant", "content": each[0]}], f"{role}_score": each[1]}
    return [row]


def test_all_of_a_small_run(tmp_path: Path) -> None:
    found = read(MadeRun(tmp_path, prompts=5, shards=2))
    assert (len(found.rows), found.available) == (10, 10)
    assert [(prompt.iteration, prompt.id) for prompt in found.rows] == [
        (number, f"prompt-{number}-{place:06d}") for number in (1, 2) for place in range(5)
    ]
    for prompt in found.rows:
        assert [len(each.scores) for each in prompt.candidates] == [3, 3, 3, 3]
        assert sorted(each.role for each in prompt.candidates if each.role) in ([], ["chosen", "rejected"])
        assert prompt.paired is bool([each for each in prompt.candidates if each.role])


def test_an_even_sample_of_a_large_one(tmp_path: Path) -> None:
    """The same one every time, of every iteration, in the order of the prompts."""
    found = read(MadeRun(tmp_path, prompts=40, answer_chars=20, critique_chars=10), candidates=80)
    assert found.available == 80
    assert [sum(prompt.iteration == number for prompt in found.rows) for number in (1, 2)] == [10, 10]
    assert [prompt.id for prompt in found.rows] == sorted(prompt.id for prompt in found.rows)


def test_half_an_iteration_has_answers_without_judgements_or_pairs(tmp_path: Path) -> None:
    found = read(MadeRun(tmp_path, until="judge-2"))
    second = [prompt for prompt in found.rows if prompt.iteration == 2]
    assert {prompt.paired for prompt in second} == {None}
    assert {each.scores for prompt in second for each in prompt.candidates} == {()}
    assert {prompt.paired for prompt in found.rows if prompt.iteration == 1} == {True, False}


def test_nothing_yet(tmp_path: Path) -> None:
    assert read(MadeRun(tmp_path, until="prompts-1")) == Sample()


@pytest.mark.parametrize(
    ("chosen", "rejected", "roles"),
    [
        pytest.param(("good", 5.0), ("bad", 1.0), ["chosen", "", "rejected"], id="best and worst"),
        pytest.param(("good", 5.0), None, ["chosen", "", ""], id="positive-only"),
        pytest.param(("good", 5.0), ("M1's", 0.0), ["chosen", "", "", "rejected"], id="an anchored rejected answer"),
    ],
)
def test_roles(tmp_path: Path, chosen: tuple[str, float], rejected: tuple[str, float] | None, roles: list[str]) -> None:
    prompt = committed(tmp_path, answers("good", "fair", "bad"), judged([5.0], [3.0], [1.0]), pair(chosen, rejected))
    assert [each.role for each in prompt.candidates] == roles
    if len(roles) == 4:
        assert (prompt.candidates[3].text, prompt.candidates[3].scores) == ("M1's", (0.0,))


def test_several_perfect_answers_of_a_prompt_are_all_marked(tmp_path: Path) -> None:
    both = [*pair(("good", 5.0), None), *pair(("fair", 5.0), None)]
    prompt = committed(tmp_path, answers("good", "fair", "bad"), judged([5.0], [5.0], [1.0]), both)
    assert [each.role for each in prompt.candidates] == ["chosen", "chosen", ""]


def test_equal_texts_are_told_apart_by_their_score(tmp_path: Path) -> None:
    prompt = committed(
        tmp_path, answers("same", "same", "bad"), judged([2.0], [5.0], [1.0]), pair(("same", 5.0), ("bad", 1.0))
    )
    assert [each.role for each in prompt.candidates] == ["", "chosen", "rejected"]
