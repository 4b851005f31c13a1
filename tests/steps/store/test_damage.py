"""What is damaged in a store is found by every store, and never handed out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from selfreward_steps.errors import PermanentError
from selfreward_steps.store import Manifest, Problem, ProblemKind, Store, StoreReason

from .small_files import FILES
from .stored_bytes import A, lose, overwrite, overwrite_manifest


def damage_content(store: Store) -> None:
    overwrite(store, "m1", "pairs.jsonl", FILES["pairs.jsonl"].replace(b"2", b"5"))


def damage_size(store: Store) -> None:
    overwrite(store, "m1", "pairs.jsonl", FILES["pairs.jsonl"][:-7])


def damage_longer(store: Store) -> None:
    overwrite(store, "m1", "pairs.jsonl", FILES["pairs.jsonl"] + b"more")


def damage_missing(store: Store) -> None:
    lose(store, "m1", "pairs.jsonl")


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        pytest.param(damage_content, ProblemKind.CONTENT, id="bit-flip"),
        pytest.param(damage_size, ProblemKind.SIZE, id="truncated"),
        pytest.param(damage_longer, ProblemKind.SIZE, id="longer"),
        pytest.param(damage_missing, ProblemKind.MISSING, id="missing"),
    ],
)
def test_damage_is_never_handed_out(
    store: Store, committed: Manifest, tmp_path: Path, damage: Callable[[Store], None], kind: ProblemKind
) -> None:
    damage(store)
    assert [(problem.name, problem.kind) for problem in store.verify("m1")] == [("pairs.jsonl", kind)]
    calls: list[Callable[[], object]] = [
        lambda: store.fetch("m1", tmp_path / "copy"),
        lambda: store.local_folder("m1", tmp_path / "scratch"),
        lambda: store.open("m1", "pairs.jsonl").read(),
    ]
    for call in calls:
        with pytest.raises(PermanentError, match=f"pairs.jsonl: {kind.value}") as caught:
            call()
        assert caught.value.reason == StoreReason.CORRUPT
    assert not (tmp_path / "copy").exists()
    # The other files are whole and may still be read.
    store.fetch("m1", tmp_path / "part", only=["nested/*"])
    assert store.open("m1", "nested/manifest.json").read() == b"{}"


def test_a_file_too_many_is_a_problem(store: Store, committed: Manifest) -> None:
    overwrite(store, "m1", "extra.txt", b"late")
    assert store.verify("m1") == [Problem("extra.txt", ProblemKind.UNEXPECTED, "not in the manifest")]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda raw: raw[: len(raw) // 2], id="torn"),
        pytest.param(lambda raw: raw.replace(b'"size": 0', b'"size": 1'), id="edited"),
        pytest.param(lambda raw: raw.replace(b'"schemaVersion": 1', b'"schemaVersion": 2'), id="later-version"),
        pytest.param(lambda raw: raw.replace(b'"artifact": "m1"', b'"artifact": "m2"'), id="of-another"),
        pytest.param(lambda raw: raw.replace(b'"empty.txt"', b'"../out.txt"'), id="path-outside"),
    ],
)
def test_a_damaged_manifest_is_corrupt(
    store: Store, committed: Manifest, output: Path, damage: Callable[[bytes], bytes]
) -> None:
    damaged = damage(committed.to_json())
    assert damaged != committed.to_json()
    overwrite_manifest(store, "m1", damaged)
    with pytest.raises(PermanentError, match=r"m1: manifest.json: unreadable") as caught:
        store.read_manifest("m1")
    assert caught.value.reason == StoreReason.CORRUPT
    assert [problem.kind for problem in store.verify("m1")] == [ProblemKind.UNREADABLE]
    with pytest.raises(PermanentError, match="unreadable"):
        store.commit("m1", output, inputs_digest=A, step="sft")
