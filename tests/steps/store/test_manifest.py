"""The manifest and its digest: the same content always has the same digest, and any change another."""

import hashlib
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError
from selfreward_steps.store import FileEntry, Manifest, inputs_digest

from .stored_bytes import A, B

# A loaded machine is slow, not wrong.
UNHURRIED = settings(max_examples=60)
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)

text = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
json_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
file_names = st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,2}", fullmatch=True)
hexes = st.text("0123456789abcdef", min_size=64, max_size=64)
entries = st.lists(
    st.builds(FileEntry, name=file_names, size=st.integers(0, 2**50), sha256=hexes),
    max_size=6,
    unique_by=lambda entry: entry.name,
)


def manifest(files: list[FileEntry], inputs: str = A, now: datetime = NOW, **rest: JsonValue) -> Manifest:
    return Manifest.of("iteration-1/pairs", files, inputs_digest=inputs, step="pairs", metadata=rest, now=now)


@UNHURRIED
@given(entries, st.dictionaries(text, json_values, max_size=4))
def test_a_manifest_survives_being_written(files: list[FileEntry], metadata: dict[str, JsonValue]) -> None:
    made = Manifest.of("a/b", files, inputs_digest=A, step="s", metadata=metadata, now=NOW)
    again = Manifest.from_json(made.to_json())
    assert again == made
    assert again.to_json() == made.to_json()


@UNHURRIED
@given(entries, st.randoms(use_true_random=False), st.integers(1, 10**9))
def test_order_time_and_metadata_do_not_change_the_digest(
    files: list[FileEntry], shuffler: random.Random, seconds: int
) -> None:
    shuffled = list(files)
    shuffler.shuffle(shuffled)
    later = manifest(shuffled, now=NOW + timedelta(seconds=seconds), loss=1.5)
    assert later.digest == manifest(files).digest


@UNHURRIED
@given(entries, st.data())
def test_any_other_content_or_input_changes_the_digest(files: list[FileEntry], data: st.DataObject) -> None:
    digest = manifest(files).digest
    assert manifest(files, B).digest != digest
    if files:
        entry = data.draw(st.sampled_from(files))
        rest = [other for other in files if other != entry]
        assert manifest(rest).digest != digest
        for change in ({"size": entry.size + 1}, {"name": entry.name + "x"}, {"sha256": "f" * 63 + "e"}):
            changed = FileEntry.model_validate(entry.model_dump() | change)
            assert manifest([*rest, changed]).digest != digest or changed == entry


def test_the_digest_is_this_one() -> None:
    """Written out by hand: a change of the canonical form would redo every run that is half done."""
    files = [FileEntry(name="pairs.jsonl", size=3, sha256="0" * 64)]
    canonical = '{"files":[["pairs.jsonl",3,"' + "0" * 64 + '"]],"inputsDigest":"' + A + '"}'
    assert manifest(files).digest == sha256(canonical)
    canonical = '{"config":{"n":4,"t":0.7},"inputs":{"responses":"' + A + '"},"step":"pairs"}'
    assert inputs_digest("pairs", {"t": 0.7, "n": 4}, {"responses": A}) == sha256(canonical)


def sha256(canonical: str) -> str:
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


@UNHURRIED
@given(st.dictionaries(text, json_values, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_a_configuration_does_not_matter(config: dict[str, JsonValue], shuffler: random.Random) -> None:
    items = list(config.items())
    shuffler.shuffle(items)
    assert inputs_digest("sft", dict(items), {}) == inputs_digest("sft", config, {})


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(inputs_digest("dpo", {"n": 4}, {"m": A}), id="step"),
        pytest.param(inputs_digest("sft", {"n": 5}, {"m": A}), id="value"),
        pytest.param(inputs_digest("sft", {"n": "4"}, {"m": A}), id="type"),
        pytest.param(inputs_digest("sft", {"n": 4, "o": None}, {"m": A}), id="key"),
        pytest.param(inputs_digest("sft", {"n": 4}, {"m": B}), id="input"),
        pytest.param(inputs_digest("sft", {"n": 4}, {"k": A}), id="role"),
    ],
)
def test_everything_an_output_depends_on_counts(other: str) -> None:
    assert inputs_digest("sft", {"n": 4}, {"m": A}) != other


def test_a_configuration_that_is_not_json_has_no_digest() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        inputs_digest("sft", {"loss": float("inf")}, {})


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "manifest.json", "a\\b", "a\n"])
def test_a_file_name_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(ValidationError, match="not a file name"):
        FileEntry(name=name, size=0, sha256="0" * 64)


def test_a_file_named_twice_is_refused() -> None:
    entry = FileEntry(name="a", size=0, sha256="0" * 64)
    with pytest.raises(ValidationError, match="named twice"):
        manifest([entry, entry])
