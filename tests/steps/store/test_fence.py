"""Fences between runs: a store reads, writes and deletes below its own root, whatever URI somebody has made up."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfreward_steps.errors import PermanentError
from selfreward_steps.store import Store, open_store
from selfreward_steps.store import names as store_names
from selfreward_steps.store.names import run_root
from selfreward_steps.store.s3_store import S3Store

from .stored_bytes import A, overwrite_manifest

_SEGMENTS = st.sampled_from(["runs", "team-a", "team-b", "m0", "namespace", "x=namespace=team-a", "%20", "é"])
_LABELS = st.sampled_from(["runs", "team-a", "team-b", "m0", "namespace", "a.b"])
_RUNS = st.tuples(st.lists(_SEGMENTS, max_size=4), _LABELS, _LABELS)


@given(_RUNS, _RUNS)
def test_no_runs_folder_lies_within_anothers(one: tuple[list[str], str, str], two: tuple[list[str], str, str]) -> None:
    mine, other = (
        run_root("/".join(["s3://bucket", *path]), namespace, name) + "/" for path, namespace, name in (one, two)
    )
    assert (mine == other) == (one == two)
    assert mine == other or not other.startswith(mine)


@given(_RUNS, st.lists(_SEGMENTS, max_size=2))
def test_no_uri_leads_into_a_runs_folder(run: tuple[list[str], str, str], below: list[str]) -> None:
    path, namespace, name = run
    root = run_root("/".join(["file:///store", *path]), namespace, name)
    for inside in (root, root.rpartition("/")[0], "/".join([root, *below]), root.replace("=", "%3D"), root.upper()):
        with pytest.raises(ValueError, match="is the folder of a namespace's runs"):
            run_root(inside, "team-c", "thief")


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
        open_store(run_root(uri, "team-a", "run"))
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
