"""Opening a bucket: the addresses, servers and credentials that cannot be used, each told to the user."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from selfreward_steps.errors import InfrastructureError, PermanentError
from selfreward_steps.store import StoreReason, open_store
from selfreward_steps.store.s3_client import _made
from selfreward_steps.store.s3_store import S3Store

from ..conftest import OPTIONS, free_port
from ..fault_proxy import (
    ALWAYS,
    Faults,
    forget_condition,
)
from ..stored_bytes import everything
from .committing import commit


def test_a_missing_bucket_is_named(
    s3_endpoint: str, s3_store_at: Callable[..., S3Store], output: Path, tmp_path: Path
) -> None:
    store = s3_store_at(s3_endpoint, bucket="no-such-bucket")
    calls: list[Callable[[], object]] = [
        lambda: commit(store, output),
        lambda: store.read_manifest("m1"),
        lambda: store.artifacts(),
        lambda: store.fetch("m1", tmp_path / "copy"),
    ]
    for call in calls:
        with pytest.raises(PermanentError, match=r"s3://no-such-bucket/.*does not exist") as caught:
            call()
        assert caught.value.reason == StoreReason.BUCKET_NOT_FOUND


def test_a_server_that_is_not_there(s3_store_at: Callable[..., S3Store], output: Path) -> None:
    store = s3_store_at(f"http://127.0.0.1:{free_port()}", replace(OPTIONS, attempts=2))
    with pytest.raises(InfrastructureError, match="Could not connect") as caught:
        commit(store, output)
    assert caught.value.reason == StoreReason.UNAVAILABLE


def test_no_credentials(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(PermanentError, match="no AWS credentials were found") as caught:
        open_store("s3://artifacts/x", endpoint_url=s3_endpoint).read_manifest("m1")
    assert caught.value.reason == StoreReason.ACCESS_DENIED


def test_credentials_that_no_header_can_carry_are_not_quoted(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "s3ssion\n")
    _made.cache_clear()
    with pytest.raises(PermanentError, match="no HTTP header can carry") as caught:
        open_store("s3://artifacts/x", endpoint_url=s3_endpoint).read_manifest("m1")
    assert "s3ssion" not in str(caught.value)


def test_a_server_without_conditional_puts_is_refused(store: S3Store, faults: Faults, output: Path) -> None:
    faults.add("PUT", ".put-if-absent", forget_condition, times=ALWAYS)
    with pytest.raises(PermanentError, match="ignores If-None-Match") as caught:
        commit(store, output)
    assert caught.value.reason == StoreReason.MISCONFIGURED
    assert not [name for name in everything(store) if name.startswith("m1")]


@pytest.mark.parametrize(
    ("uri", "endpoint", "words"),
    [
        pytest.param("gs://bucket/x", None, "use file:///absolute/path or s3://bucket/prefix", id="scheme"),
        pytest.param("/data/run", None, "use file:///absolute/path", id="no-scheme"),
        pytest.param("file://data/run", None, "three slashes", id="two-slashes"),
        pytest.param("file:///", None, "three slashes", id="root-of-the-disk"),
        pytest.param("s3:///prefix", None, "not a bucket name", id="no-bucket"),
        pytest.param("s3://My_Bucket/x", None, "not a bucket name", id="bad-bucket"),
        pytest.param("s3://bucket/a//b", None, "no empty segment", id="empty-segment"),
        pytest.param("s3://bucket/a?b", None, "may not hold", id="query"),
        pytest.param("s3://bucket/a", "minio:9000", r"use http\(s\)", id="endpoint"),
    ],
)
def test_a_uri_that_cannot_be_used(s3_environment: None, uri: str, endpoint: str | None, words: str) -> None:
    with pytest.raises(PermanentError, match=words) as caught:
        open_store(uri, endpoint_url=endpoint)
    assert caught.value.reason == StoreReason.MISCONFIGURED


def test_a_bucket_is_opened_by_its_uri(s3_endpoint: str, s3_prefix: str, output: Path) -> None:
    store = open_store(f"s3://artifacts/{s3_prefix}/", endpoint_url=s3_endpoint, region="eu-west-1")
    assert isinstance(store, S3Store)
    assert store.uri == f"s3://artifacts/{s3_prefix}"
    assert commit(store, output).artifact == "m1"
    assert store.artifacts() == ["m1"]
    store._bucket.client.close()


def test_a_bucket_on_this_machine_is_asked_directly(
    s3_endpoint: str, s3_store_at: Callable[..., S3Store], output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    _made.cache_clear()  # a client keeps the proxies that it was made with
    store = s3_store_at(s3_endpoint)
    commit(store, output)
    assert store.read_manifest("m1") is not None
