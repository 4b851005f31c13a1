"""Fences between runs: a store reads, writes and deletes below its own root, whatever URI somebody has made up."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from selfreward_steps.contract import artifact_names
from selfreward_steps.errors import PermanentError
from selfreward_steps.store import Store, open_store
from selfreward_steps.store import names as store_names
from selfreward_steps.store.file_store import FileStore
from selfreward_steps.store.s3_store import S3Store

from .stored_bytes import A, B, everything, overwrite_manifest


def below(store: Store, path: str) -> Store:
    """Another run's store, at `path` below this one's root."""
    if isinstance(store, FileStore):
        return FileStore(store.root / path)
    assert isinstance(store, S3Store)
    return S3Store(store._bucket, f"{store._root}{path}")


def test_every_run_commits_the_artifact_first_that_a_root_is_known_by() -> None:
    assert artifact_names.BASE_MODEL == store_names.FIRST


@pytest.mark.parametrize("place", ["victim", "namespace/victim", "evaluation/m1"])
def test_another_run_below_outlives_the_deletion(store: Store, output: Path, place: str) -> None:
    victim = below(store, place)
    for name in ("m0", "iteration-1/pairs", "evaluation/m1"):
        victim.commit(name, output, inputs_digest=A, step="sft")
    with victim.journal("iteration-1/judge", inputs_digest=A) as journal:
        journal.append({"score": 5})
    kept = everything(victim)
    store.commit("m0", output, inputs_digest=B, step="sft")
    store.commit("m1", output, inputs_digest=B, step="sft")
    store.delete("")
    assert everything(victim) == kept
    assert everything(store) == sorted(f"{place}/{name}" for name in kept)


@pytest.mark.parametrize("place", ["namespace/run", "m0/data/run", "evaluation/m1", "m1/x"])
@pytest.mark.parametrize("call", ["read", "commit", "delete"])
def test_a_root_within_another_runs_artifacts_is_refused(store: Store, output: Path, place: str, call: str) -> None:
    for name in ("m0", "evaluation/m1"):
        store.commit(name, output, inputs_digest=A, step="sft")
    kept = everything(store)
    attacker = below(store, place)
    calls = {
        "read": lambda: attacker.read_manifest("m0"),
        "commit": lambda: attacker.commit("m0", output, inputs_digest=B, step="sft"),
        "delete": lambda: attacker.delete(""),
    }
    with pytest.raises(PermanentError, match="lies within another run's artifacts") as caught:
        calls[call]()
    assert caught.value.reason == "StoreMisconfigured"
    assert everything(store) == kept


def test_an_upload_under_way_below_is_not_ended(store: Store, output: Path) -> None:
    if isinstance(store, FileStore):
        victim = FileStore(store.root / "namespace/victim")
        victim.commit("m0", output, inputs_digest=A, step="sft")
        staging = victim.root / ".staging-m1.0123456789abcdef"
        (staging / "tree").mkdir(parents=True)
        store.delete("")
        assert (staging / "tree").is_dir()
        return
    assert isinstance(store, S3Store)
    bucket, neighbour = store._bucket, below(store, "namespace/victim")
    neighbour.commit("m0", output, inputs_digest=A, step="sft")
    key = f"{store._root}namespace/victim/m1/data-0123456789abcdef/model.safetensors"
    own = f"{store._root}m1/data-0123456789abcdef/model.safetensors"
    for each in (key, own):
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=each)
    store.delete("")
    under_way = bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=store._root)["Uploads"]
    assert [upload["Key"] for upload in under_way] == [key]


@pytest.mark.parametrize(
    "uri",
    [
        "file:///store/default/victim?",
        "file:///store/default/victim?x=",
        "file:///store/default/victim#",
        "file:///store/a/../default",
        "file:///store/a/%2e%2E/default",
        "file:///store//default",
        "file:///store/%00",
        "file:///store/./x",
        "s3://bucket/runs/../default",
        "s3://bucket/runs//default",
        "s3://bucket/runs?",
        "s3://bucket/runs#/x",
    ],
)
def test_an_address_that_leads_elsewhere_is_refused(uri: str) -> None:
    with pytest.raises(PermanentError) as caught:
        open_store(f"{uri}/namespace/name")
    assert caught.value.reason == "StoreMisconfigured"


def test_a_manifest_that_would_fill_memory_is_not_read(store: Store, output: Path) -> None:
    store.commit("m1", output, inputs_digest=A, step="sft")
    overwrite_manifest(store, "m1", b" " * (store_names.MAX_MANIFEST + 10_000_000))
    tracemalloc.start()
    with pytest.raises(PermanentError, match=f"it has more than {store_names.MAX_MANIFEST} bytes"):
        store.read_manifest("m1")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * store_names.MAX_MANIFEST


def test_what_a_store_holds_is_not_told_in_errors(store: Store, output: Path) -> None:
    store.commit("m1", output, inputs_digest=A, step="sft")
    for content in (b'{"token": "AKIA-secret"}', b"AKIA-secret", b'{"artifact": "AKIA-secret\\n"}', b"[" * 100_000):
        overwrite_manifest(store, "m1", content)
        with pytest.raises(PermanentError) as caught:
            store.read_manifest("m1")
        assert "secret" not in str(caught.value)
        assert "manifest.json: unreadable: " in str(caught.value)


def test_a_listing_without_an_end_is_left(
    s3_store_at: Callable[[str], S3Store], s3_endpoint: str, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = s3_store_at(s3_endpoint)
    monkeypatch.setattr(store_names, "MAX_NAMES", 3)
    for name in ("m0", "m1", "m2"):
        store.commit(name, output, inputs_digest=A, step="sft")
    with pytest.raises(PermanentError, match="more than 3 objects"):
        store.delete("")
