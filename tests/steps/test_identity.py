"""What makes a step's output another one, and what does not."""

import json
from typing import Any

import pytest
from selfreward_steps.contract import parse_config
from selfreward_steps.identity import derived_seed, output_digests, step_digest
from selfreward_steps.identity import settings as identity_settings

SERVING = {"url": "http://a/v1", "model": "m1", "apiKeyVariable": "KEY", "concurrency": 8, "requestTimeoutSeconds": 5}
JUDGE: dict[str, Any] = {
    "run": "demo",
    "step": "judge",
    "iteration": 1,
    "store": {"uri": "file:///a"},
    "output": "iteration-1/judgements",
    "shards": 2,
    "settings": {},
    "serving": SERVING,
}
IMPORT: dict[str, Any] = {
    "run": "demo",
    "step": "import",
    "store": {"uri": "file:///a"},
    "output": "seed",
    "models": [{"source": {"uri": "hf://o/m"}, "output": "m0"}],
    "seedData": {"eft": {"uri": "file:///eft.jsonl"}},
}


def digest(config: dict[str, Any], shard: int | None = 0, **inputs: str) -> str:
    return step_digest(parse_config(json.dumps(config)), inputs, shard)


@pytest.mark.parametrize(
    "change",
    [
        {"run": "other"},
        {"attempt": 3},
        {"store": {"uri": "s3://bucket/run", "endpointUrl": "http://x"}},
        {"serving": {**SERVING, "url": "http://b/v1"}},
        {"serving": {**SERVING, "concurrency": 99, "requestTimeoutSeconds": 1, "apiKeyVariable": None}},
    ],
    ids=["run", "attempt", "store", "address", "client"],
)
def test_where_and_how_fast_do_not_matter(change: dict[str, Any]) -> None:
    assert digest({**JUDGE, **change}) == digest(JUDGE)


@pytest.mark.parametrize(
    ("step", "settings", "later"),
    [
        pytest.param("dpo", {}, {"checkpoints": []}, id="checkpoints"),
        pytest.param("dpo", {}, {"settings": {"selection": None}}, id="selection"),
        pytest.param("respond", {"serving": SERVING}, {"single": None}, id="single"),
        pytest.param("prompts", {}, {"validation": None}, id="validation"),
    ],
)
def test_an_option_that_came_later_says_nothing_where_it_is_not_set(
    step: str, settings: dict[str, Any], later: dict[str, Any]
) -> None:
    whole = {"run": "r", "step": step, "store": {"uri": "file:///a"}, "output": "o", "settings": {}, **settings}
    config = parse_config(json.dumps(whole))
    kept = json.dumps(identity_settings(config))
    assert [name for name in ("selection", "checkpoints", "single", "validation") if f'"{name}"' in kept] == []
    assert digest({**whole, **later}) == digest(whole)


def test_what_is_committed_on_the_way_belongs_to_the_same_inputs() -> None:
    dpo = {"run": "r", "step": "dpo", "store": {"uri": "file:///a"}, "output": "m2-2", "settings": {}}
    config = parse_config(json.dumps({**dpo, "checkpoints": ["m2-1"]}))
    assert output_digests(config, "m2-2", "sha256:x") == {"m2-1": "sha256:x", "m2-2": "sha256:x"}
    assert digest({**dpo, "checkpoints": ["m2-1"]}) != digest(dpo)


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"samples": 5}},
        {"serving": {**SERVING, "model": "gpt"}},
        {"randomSeed": 1},
        {"shards": 3},
        {"iteration": 2},
    ],
    ids=["settings", "model", "seed", "shards", "iteration"],
)
def test_what_is_asked_matters(change: dict[str, Any]) -> None:
    assert digest({**JUDGE, **change}) != digest(JUDGE)


def test_the_shard_and_each_input_matter() -> None:
    digests = {digest(JUDGE), digest(JUDGE, 1), digest(JUDGE, model="sha256:1"), digest(JUDGE, model="sha256:2")}
    assert len(digests) == 4


def outputs(config: dict[str, Any]) -> dict[str, str]:
    parsed = parse_config(json.dumps(config))
    return output_digests(parsed, "seed", step_digest(parsed, {}, None))


def test_an_import_without_data_has_no_seed() -> None:
    assert set(outputs({**IMPORT, "seedData": {}})) == {"m0"}
    assert set(outputs({**IMPORT, "seedData": {}, "promptsSource": {"source": {"uri": "file:///p.jsonl"}}})) == {
        "m0",
        "seed",
    }


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"seedData": {"eft": {"uri": "file:///mended.jsonl"}}}, {"seed"}),
        ({"models": [{"source": {"uri": "hf://o/m", "revision": "v2"}, "output": "m0"}]}, {"m0"}),
        ({"models": [{**IMPORT["models"][0], "tokenVariable": "HUB_TOKEN"}]}, set()),
        ({"models": [{"source": {"uri": "hf://o/m", "tokenSecretRef": {"name": "hub"}}, "output": "m0"}]}, set()),
        ({"tokenVariables": {"eft": "TOKEN"}}, set()),
        ({"promptsSource": {"count": 3}}, set()),
        ({"randomSeed": 7}, set()),
    ],
    ids=["data", "revision", "token", "secret", "data-token", "prompt-settings", "seed"],
)
def test_each_import_depends_on_its_own_source(change: dict[str, Any], changed: set[str]) -> None:
    before, after = outputs(IMPORT), outputs({**IMPORT, **change})
    assert {artifact for artifact in before if before[artifact] != after[artifact]} == changed


def test_seed_data_that_was_imported_before_columns_had_names_is_the_same() -> None:
    before = "sha256:c74e1cb11fb4d6679631777898e10feb6f49e196330f64ef731ea4ce44ebbc15"
    assert output_digests(parse_config(json.dumps(IMPORT)), "seed", "")["seed"] == before
    renamed = {**IMPORT, "seedData": {"eft": {"uri": "file:///eft.jsonl", "columns": {"score": "points"}}}}
    assert output_digests(parse_config(json.dumps(renamed)), "seed", "")["seed"] != before


def test_seeds_differ_by_step_iteration_and_shard() -> None:
    asked = [(0, "judge", 1, 0), (1, "judge", 1, 0), (0, "respond", 1, 0), (0, "judge", 2, 0), (0, "judge", 1, 1)]
    seeds = [derived_seed(*each) for each in asked]
    assert len(set(seeds)) == 5
    assert all(0 <= seed < 2**31 for seed in seeds)
    # printf 0/judge/1/0 | sha256sum: the first 31 bits. Another number would change every run made so far.
    assert derived_seed(0, "judge", 1, 0) == 156097958
