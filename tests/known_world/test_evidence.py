"""The evidence's runs are runs of the product, each with one thing changed, and its table says what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from known_world.evidence import VARIANTS, Result, table
from known_world.truth import ModelTruth
from known_world.world import spec, write_run
from selfreward.api.load import load_run

CHANGED = {
    "main": set(),
    "positive-only": {"preferences"},
    "no-eft": {"eft", "seedData", "iterations"},
    "length": set(),
    "length-controlled": {"preferences"},
    "flattery": {"iterations"},
}


def changed(name: str, world: Path) -> dict[str, Any]:
    variant = next(variant for variant in VARIANTS if variant.name == name)
    made = spec(world, world / "m0", seed=0)
    variant.change(made)
    return made


@pytest.mark.parametrize(("name", "fields"), CHANGED.items(), ids=list(CHANGED))
def test_a_variant_is_a_valid_run_with_one_thing_changed(name: str, fields: set[str], tmp_path: Path) -> None:
    plain, made = spec(tmp_path, tmp_path / "m0", seed=0), changed(name, tmp_path)
    assert {field for field in plain if made.get(field) != plain[field]} | (made.keys() - plain.keys()) == fields
    write_run(tmp_path / "run.yaml", name, made)
    assert load_run(tmp_path / "run.yaml").metadata.name == name


def test_variants_are_told_apart_by_their_names_and_all_are_here() -> None:
    assert [variant.name for variant in VARIANTS] == list(CHANGED)


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
