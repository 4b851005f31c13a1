"""The world as a run's file: committed with its base model and its people's data; the picture of what came of it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml
from known_world.picture import Told, picture
from known_world.seed_data import write_seed_data
from known_world.world import spec

ROOT = Path(__file__).parents[2]
WORLD = ROOT / "examples" / "known_world"
PICTURE = ROOT / "docs" / "images" / "known-world.svg"
MODELS = [
    Told("M1", 2.5, 0.25, 0.6875, 0.5625, "tell ann kindly of sea at noon", "dear wave", 1.75),
    Told("M2", 5.0, 0.125, 0.75, 0.5625, "tell ann kindly of sea at noon", "dear wave salt bye", 5.0),
]


def example() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((WORLD / "run.yaml").read_text(encoding="utf-8"))
    return found


def test_the_example_is_the_worlds_run() -> None:
    """But for where things lie and how the server is started."""
    mine, made = example()["spec"], spec(Path("/world"), Path("/world/m0"), seed=0)
    assert mine.pop("workloads").keys() == {"serving", "training"}
    server = mine["serving"].pop("command")
    assert [word.partition("=")[0] for word in server if word.startswith("--")] == [
        word for word in made["serving"].pop("command") if word.startswith("--")
    ]
    placed = yaml.safe_load(yaml.safe_dump(made).replace("file:///world/", "file://./"))
    assert mine == placed


@pytest.mark.parametrize("name", ["instructions", "eft", "rankings", "prompts"])
def test_its_data_is_what_the_people_of_seed_0_left(name: str, tmp_path: Path) -> None:
    write_seed_data(tmp_path, seed=0)
    assert (WORLD / "data" / f"{name}.jsonl").read_bytes() == (tmp_path / f"{name}.jsonl").read_bytes()


@pytest.mark.slow
def test_its_base_model_is_the_worlds(tmp_path: Path) -> None:
    """Weights differ between machines in their last digits, and what is learnt from them a little."""
    import torch
    from known_world.model import make_base_model, make_tokenizer, texts
    from transformers import AutoModelForCausalLM, AutoTokenizer

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    make_base_model(tmp_path / "m0", seed=0)
    torch.set_num_threads(threads)
    for name in ("tokenizer.json", "config.json", "chat_template.jinja"):
        assert (WORLD / "m0" / name).read_bytes() == (tmp_path / "m0" / name).read_bytes()
    reading = texts(1)
    pairs = [next(reading) for _ in range(256)]
    written = [f"<user> {question} <assistant> {answer} <end>" for question, answer in pairs]
    assert len(AutoTokenizer.from_pretrained(WORLD / "m0")) == len(make_tokenizer())
    inputs = make_tokenizer()(
        written, padding=True, padding_side="right", return_tensors="pt", add_special_tokens=False
    )
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    with torch.inference_mode():
        losses = [
            float(
                AutoModelForCausalLM.from_pretrained(folder)(
                    input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels
                ).loss
            )
            for folder in (WORLD / "m0", tmp_path / "m0")
        ]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def shown(svg: str) -> list[str]:
    """The texts of a picture."""
    return [each.text or "" for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_picture_says_every_number_and_its_bars_are_as_long() -> None:
    svg = picture(MODELS)
    assert {"2.50", "5.00", "69%", "75%", "dashed: the longer one, 56%", "dear wave", "1.75"} <= set(shown(svg))
    rectangles = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect")
    heights = [float(each.attrib["height"]) for each in rectangles if each.attrib["class"] == "bar"]
    whole = heights[1]  # a quality of 5, and a share of 1
    assert heights == pytest.approx([whole / 2, whole, whole * 0.6875, whole * 0.75], abs=0.1)


def test_a_picture_is_told_to_who_does_not_see_it_and_follows_light_and_dark() -> None:
    svg = picture(MODELS)
    title = ElementTree.fromstring(svg).find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == (
        "M1: true quality 2.50 of 5, judges 69% of pairs right; M2: true quality 5.00 of 5, judges 75% of pairs right"
    )
    assert "@media (prefers-color-scheme: dark)" in svg


def test_the_readme_says_what_its_picture_shows() -> None:
    qualities = [text for text in shown(PICTURE.read_text(encoding="utf-8")) if re.fullmatch(r"\d\.\d\d", text)]
    assert len(qualities) == 6  # of three models, and of an answer of each
    assert " → ".join(qualities[:3]) in (ROOT / "README.md").read_text(encoding="utf-8")
