"""The evidence's runs are runs of the product, each with one thing changed, and its table says what came of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from known_world import evidence
from known_world.evidence import WORLDS, Result, table
from known_world.summary import summary
from known_world.truth import ModelTruth
from known_world.world import write_run
from selfreward.api.load import load_run

CHANGED = {
    "plain": {
        "main": set(),
        "positive-only": {"preferences"},
        "no-eft": {"eft", "seedData", "iterations"},
        "length": set(),
        "length-controlled": {"preferences"},
        "flattery": {"iterations"},
    },
    "careless": {
        "plain": set(),
        "pairwise": {"eft", "seedData", "judge"},
        "meta-rewarding": {"judge"},
        "reference-m1": {"training"},
        "min-consistency": {"preferences", "training"},
        "cream": {"training"},
    },
}
CASES = [(world, name, fields) for world, variants in CHANGED.items() for name, fields in variants.items()]


@pytest.mark.parametrize(("world", "name", "fields"), CASES, ids=[f"{world}-{name}" for world, name, _ in CASES])
def test_a_variant_is_a_valid_run_with_one_thing_changed(
    world: str, name: str, fields: set[str], tmp_path: Path
) -> None:
    plain, made = (WORLDS[world].spec(tmp_path, tmp_path / "m0", 0) for _ in range(2))
    next(variant for variant in WORLDS[world].variants if variant.name == name).change(made)
    assert {field for field in plain if made.get(field) != plain[field]} | (made.keys() - plain.keys()) == fields
    write_run(tmp_path / "run.yaml", name, made)
    assert load_run(tmp_path / "run.yaml").metadata.name == name


def test_variants_are_told_apart_by_their_names_and_all_are_here() -> None:
    for name, world in WORLDS.items():
        assert [variant.name for variant in world.variants] == list(CHANGED[name])


@pytest.mark.parametrize(
    ("result", "row"),
    [
        pytest.param(
            Result(
                variant="length",
                seed=3,
                models=[ModelTruth("m1", 2.5, 8.04, 0.7, 0.51), ModelTruth("m2", 3.0, 10.0, 0.69, 0.51)],
                pairs=[299, 298],
                prompts=300,
                gates=[
                    "pairs-2: … (gates.lengthGrowth.maximum 1.2): …; evaluate-m2: … (gates.lengthGrowth.maximum 1.2)"
                ],
                failure="",
                seconds=100.0,
            ),
            "| length | 3 | 2.50 → 3.00 | 8.0 → 10.0 | 0.700 → 0.690 | 0.510 | 299, 298 of 300 | gates.lengthGrowth |",
            id="a gate tripped",
        ),
        pytest.param(
            Result(
                variant="no-eft",
                seed=0,
                models=[ModelTruth("m1", 2.5, 8.0, None, None)],
                pairs=[],
                prompts=300,
                gates=[],
                failure="pairs-1: NoPreferencePairs: iteration-1/pairs: no preference pair from 300 prompts",
                seconds=50.0,
            ),
            "| no-eft | 0 | 2.50 | 8.0 | – | – | none of 300 | NoPreferencePairs |",
            id="ended early",
        ),
    ],
)
def test_the_table_has_a_row_for_each_run(result: Result, row: str) -> None:
    assert table([result]).splitlines()[2:] == [row]


def judging(variant: str, seed: int, quality: float, judges: tuple[float, float], tokens: int) -> Result:
    models = [ModelTruth(f"m{n}", quality - 1 + n / 2, 8.0, judge, 0.5) for n, judge in enumerate(judges, 1)]
    return Result(variant, seed, models, [300], 300, [], "", 1.0, tokens)


def test_the_summary_compares_each_variant_with_the_first_on_the_same_seeds() -> None:
    results = [
        judging("plain", 0, 3.0, (0.6, 0.5), 100),
        judging("plain", 1, 4.0, (0.6, 0.7), 100),
        judging("other", 0, 3.5, (0.6, 0.7), 150),
        Result("other", 1, [ModelTruth("m1", 2.0, 8.0, 0.6, 0.5)], [], 300, [], "pairs-1: NoPreferencePairs: x", 1.0),
        Result("third", 0, [], [], 300, [], "the run: OSError: x", 1.0),
    ]
    assert summary(results).splitlines()[2:] == [
        "| plain | 2 | 3.50 ± 6.35 | 0.00 ± 0.00 | 0.600 ± 0.000 | 0.600 ± 1.271 | 0.000 ± 0.000 | 0.000 ± 1.271 "
        "| 1 of 2 | 1.00 |",
        "| other | 1 | 3.50 | 0.50 | 0.600 | 0.700 | 0.200 | 0.100 | 1 of 1 | 1.50 |",
        "| third | 0 | – | – | – | – | – | – | 0 of 0 | – |",
    ]


def test_the_summary_of_nothing_has_no_rows() -> None:
    assert len(summary([]).splitlines()) == 2


def test_a_run_that_cannot_be_made_is_told_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def base_model(options: evidence.Options, seed: int) -> None:
        if seed == 1:
            raise OSError("no room for M0")

    def run_variant(options: evidence.Options, variant: evidence.Variant, seed: int) -> Result:
        if variant.name == "cream":
            raise FileNotFoundError("status.json")
        return judging(variant.name, seed, 3.0, (0.6, 0.7), 100)

    monkeypatch.setattr(evidence, "_base_model", base_model)
    monkeypatch.setattr(evidence, "run_variant", run_variant)
    words = ["evidence", str(tmp_path), "--world", "careless", "--seeds", "0", "1", "--jobs", "3"]
    monkeypatch.setattr(sys, "argv", [*words, "--variants", "plain", "cream"])
    evidence.main()
    rows = capsys.readouterr().out.splitlines()
    assert "| plain | 0 | 2.50 → 3.00 | 8.0 → 8.0 | 0.600 → 0.700 | 0.500 | 300 of 300 | – |" in rows
    for run, why in (("plain | 1", "OSError"), ("cream | 0", "FileNotFoundError"), ("cream | 1", "OSError")):
        assert f"| {run} |  |  |  | – | none of 0 | {why} |" in rows
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 4
