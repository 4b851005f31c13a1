"""The world's truth, on answers whose worth anybody can see, and the people who write and rank them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from known_world.language import TOPICS, Merits, Skill, all_tasks, read_task, true_quality, written_answer
from known_world.seed_data import ANSWERS, PROMPTS, human, length_loving, write_seed_data
from known_world.truth import agreement

PROMPT = "tell ann kindly of sea at noon"


@pytest.mark.parametrize(
    ("answer", "quality"),
    [
        pytest.param("dear wave salt tide foam bye", 5, id="all it should be"),
        pytest.param("dear wave wave salt tide foam reef shell bye", 5, id="longer is no better"),
        pytest.param("hey wave salt tide foam bye", 4, id="opens for another manner"),
        pytest.param("dear wave salt tide foam", 4, id="does not close"),
        pytest.param("dear wave uh salt hm bye", 3.5, id="mumbles half of it"),
        pytest.param("dear wave very salt really bye", 3.5, id="pads half of it"),
        pytest.param("dear sword shield army fort bye", 2, id="another topic's words"),
        pytest.param("dear wave bye", 2.75, id="one word for the four that are enough"),
        pytest.param("wave salt tide foam bye", 4, id="does not open"),
        pytest.param("dear", 1, id="opens and falls silent"),
        pytest.param("bye", 1, id="closes and said nothing"),
        pytest.param("", 0, id="silent"),
        pytest.param("<unknown> words of no world at all", 0, id="gibberish"),
    ],
)
def test_true_quality(answer: str, quality: float) -> None:
    assert true_quality(PROMPT, answer) == pytest.approx(quality)


@pytest.mark.parametrize(
    ("answer", "remarks"),
    [
        ("dear wave salt tide foam bye", "opening good topic all closing good length short"),
        ("well uh uh uh wave salt tide", "opening bad topic half closing bad length fair"),
        ("dear uh hm er meh wave uh hm er meh", "opening good topic few closing bad length long"),
    ],
)
def test_an_honest_reader_remarks_what_is_true(answer: str, remarks: str) -> None:
    assert Merits.of(PROMPT, answer).remarks == remarks


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(ValueError, match="no task of this world: 'tell ann kindly of love at noon'"):
        read_task("tell ann kindly of love at noon")


def test_every_task_reads_back_from_its_prompt_and_no_two_share_one() -> None:
    tasks = all_tasks()
    assert [read_task(task.prompt) for task in tasks] == tasks
    assert len({task.prompt for task in tasks}) == len(tasks)


def test_a_master_answers_perfectly_and_the_hopeless_badly() -> None:
    draw = random.Random(0)
    task = read_task(PROMPT)
    master, hopeless = Skill(1, 1, 1, 1, (4, 9)), Skill(0, 0, 0.5, 0, (4, 9))
    assert {true_quality(PROMPT, written_answer(task, master, draw)) for _ in range(50)} == {5}
    assert all(true_quality(PROMPT, written_answer(task, hopeless, draw)) <= 1 for _ in range(50))


def test_the_seed_data_share_no_prompt_and_follow_from_the_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_seed_data(tmp_path / name, seed)
    prompts = [set(_prompts(tmp_path / "a" / f"{name}.jsonl")) for name in ("eft", "rankings", "prompts")]
    assert len(prompts[2]) == PROMPTS
    assert len(set.union(*prompts)) == sum(map(len, prompts))
    texts = {name: [path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("a", "b", "c")}
    assert texts["a"] == texts["b"]
    assert all(old != new for old, new in zip(texts["a"], texts["c"], strict=True))


def test_people_mostly_rank_by_quality_and_those_who_love_length_give_it_more() -> None:
    draw = random.Random(0)
    short, long = "dear wave salt tide foam bye", "dear " + " ".join(["uh", *TOPICS["sea"] * 2]) + " bye"
    assert sum(human(PROMPT, short, draw) > human(PROMPT, "dear uh hm er meh bye", draw) for _ in range(100)) > 95
    assert sum(length_loving(PROMPT, long, draw) > length_loving(PROMPT, short, draw) for _ in range(100)) > 95


def test_rankings_hold_different_answers_best_first(tmp_path: Path) -> None:
    write_seed_data(tmp_path, 0)
    for line in (tmp_path / "rankings.jsonl").read_text().splitlines():
        answers = json.loads(line)["answers"]
        assert [answer["rank"] for answer in answers] == list(range(ANSWERS))
        assert len({answer["content"] for answer in answers}) == ANSWERS


@pytest.mark.parametrize(
    ("said", "share"),
    [
        pytest.param([[1, 2, 3]], 1.0, id="as the truth"),
        pytest.param([[3, 2, 1]], 0.0, id="the other way round"),
        pytest.param([[4, 4, 4]], 0.5, id="always the same is a coin"),
        pytest.param([[None, None, None]], 0.5, id="no score is a coin"),
        pytest.param([[1, 3, 3]], 5 / 6, id="one tie"),
    ],
)
def test_agreement_with_the_truth(said: list[list[float | None]], share: float) -> None:
    assert agreement([[0.5, 1.5, 4.0]], said) == pytest.approx(share)


def test_without_pairs_there_is_no_agreement() -> None:
    assert agreement([[2.0, 2.0]], [[1.0, 5.0]]) is None


def _prompts(path: Path) -> list[str]:
    return [json.loads(line)["prompt"] for line in path.read_text().splitlines()]
