"""A bucket store when the server, or the way to it, fails: nothing is lost, doubled or silently wrong."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError
from selfreward_steps.store import Manifest, ProblemKind, StoreReason, open_store
from selfreward_steps.store.s3_store import S3Store

from .conftest import OPTIONS, free_port
from .fault_proxy import (
    ALWAYS,
    Act,
    Faults,
    fault_proxy,
    flip_bit,
    forget_condition,
    hold,
    lose_answer,
    never_answer,
    refuse,
    reset_while_uploading,
    shorten,
    tear,
)
from .stored_bytes import A, B, everything

MANIFEST = "/m1/manifest.json"
DATA = "/m1/data-"
# Two seconds are enough for a loaded machine to answer one small request.
IMPATIENT = replace(OPTIONS, read_timeout_s=2)
SLOW_DOWN = refuse(503, "SlowDown")


@pytest.fixture(scope="session")
def proxy(s3_port: int) -> Iterator[Faults]:
    with fault_proxy(s3_port) as proxy:
        yield proxy


@pytest.fixture
def faults(proxy: Faults) -> Iterator[Faults]:
    yield proxy
    proxy.clear()


@pytest.fixture
def store(faults: Faults, s3_store_at: Callable[..., S3Store]) -> S3Store:
    """A store whose every request goes through the proxy."""
    return s3_store_at(faults.endpoint)


@pytest.fixture
def healthy(s3_endpoint: str, s3_store_at: Callable[..., S3Store]) -> S3Store:
    """The same store without the proxy, to look at what is really there."""
    return s3_store_at(s3_endpoint)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    folder.mkdir()
    (folder / "small.jsonl").write_bytes(b'{"n": 1}\n' * 50)
    # A little more than one part, so that it goes up and comes down in two.
    (folder / "model.bin").write_bytes(bytes(range(256)) * (OPTIONS.part_bytes // 256 + 100))
    return folder


def commit(store: S3Store, output: Path, inputs: str = A) -> Manifest:
    return store.commit("m1", output, inputs_digest=inputs, step="sft")


def whole(store: S3Store, output: Path, tmp_path: Path) -> bool:
    store.fetch("m1", tmp_path / "whole")
    return all((tmp_path / "whole" / p.name).read_bytes() == p.read_bytes() for p in output.iterdir())


PASSING: list[tuple[str, str, str, Act]] = [
    ("slow-down-on-data", "PUT", DATA, SLOW_DOWN),
    ("slow-down-on-start-of-parts", "POST", DATA, SLOW_DOWN),
    ("slow-down-on-manifest", "PUT", MANIFEST, SLOW_DOWN),
    ("error-500", "PUT", DATA, refuse(500, "InternalError")),
    ("reset-while-uploading", "PUT", DATA, reset_while_uploading),
    ("answer-of-part-lost", "PUT", DATA, lose_answer),
    ("answer-of-last-part-lost", "POST", "uploadId=", lose_answer),
    ("upload-gone-after-a-lost-answer", "POST", "uploadId=", refuse(404, "NoSuchUpload")),
    ("answer-of-manifest-lost", "PUT", MANIFEST, lose_answer),
    ("another-writer-at-work", "PUT", MANIFEST, refuse(409, "ConditionalRequestConflict")),
]


@pytest.mark.parametrize(("method", "part", "act"), [p[1:] for p in PASSING], ids=[p[0] for p in PASSING])
def test_a_fault_that_passes_is_not_noticed(
    store: S3Store, faults: Faults, output: Path, tmp_path: Path, method: str, part: str, act: Act
) -> None:
    fault = faults.add(method, part, act)
    manifest = commit(store, output)
    assert fault.met == 1
    assert store.read_manifest("m1") == manifest
    assert store.verify("m1") == []
    assert whole(store, output, tmp_path)
    assert not [name for name in everything(store) if DATA in name and manifest.data not in name]


LASTING: list[tuple[str, str, str, Act]] = [
    ("slow-down", "PUT", DATA, SLOW_DOWN),
    ("reset-while-uploading", "PUT", DATA, reset_while_uploading),
    ("manifest-refused", "PUT", MANIFEST, refuse(503, "ServiceUnavailable")),
    ("manifest-conflict", "PUT", MANIFEST, refuse(409, "ConditionalRequestConflict")),
    ("manifest-unreadable", "GET", MANIFEST, tear),
    ("too-many-requests", "PUT", DATA, refuse(429, "RateExceeded")),
]


@pytest.mark.parametrize(("method", "part", "act"), [p[1:] for p in LASTING], ids=[p[0] for p in LASTING])
def test_a_fault_that_lasts_is_infrastructure(
    store: S3Store, healthy: S3Store, faults: Faults, output: Path, method: str, part: str, act: Act
) -> None:
    if act is tear:
        commit(healthy, output)
    faults.add(method, part, act, times=ALWAYS)
    with pytest.raises(InfrastructureError, match=r"s3://artifacts/runs/.*/m1") as caught:
        commit(store, output)
    assert (caught.value.reason, caught.value.exit_code) == (StoreReason.UNAVAILABLE, 69)
    assert "\n" not in str(caught.value)
    faults.clear()
    assert commit(store, output) == healthy.read_manifest("m1")
    assert healthy.verify("m1") == []


def test_an_answer_that_comes_too_late(
    s3_store_at: Callable[..., S3Store], faults: Faults, output: Path, tmp_path: Path
) -> None:
    """The manifest was taken; the second try, after the timeout, is told that there is one."""
    store = s3_store_at(faults.endpoint, IMPATIENT)
    fault = faults.add("PUT", MANIFEST, never_answer(2 * IMPATIENT.read_timeout_s))
    manifest = commit(store, output)
    assert fault.met == 1
    assert sum(line.startswith("PUT") and f"{store._root}m1/manifest" in line for line in faults.seen) == 2
    assert store.read_manifest("m1") == manifest
    assert whole(store, output, tmp_path)


@pytest.mark.parametrize("act", [lose_answer, never_answer(4)], ids=["closed", "silent"])
def test_a_commit_whose_answers_are_all_lost_is_still_one_commit(
    s3_store_at: Callable[..., S3Store],
    healthy: S3Store,
    faults: Faults,
    output: Path,
    tmp_path: Path,
    act: Act,
) -> None:
    store = s3_store_at(faults.endpoint, IMPATIENT)
    faults.add("PUT", MANIFEST, act, times=ALWAYS)
    with pytest.raises(InfrastructureError):
        commit(store, output)
    published = healthy.read_manifest("m1")
    assert published is not None, "the server did take the manifest"
    assert healthy.verify("m1") == [], "the data of a commit that may have happened is not removed"
    faults.clear()
    assert commit(store, output) == published
    assert whole(store, output, tmp_path)


@pytest.mark.parametrize(
    ("status", "code", "reason", "words"),
    [
        pytest.param(403, "AccessDenied", StoreReason.ACCESS_DENIED, "credentials", id="denied"),
        pytest.param(403, "InvalidAccessKeyId", StoreReason.ACCESS_DENIED, "credentials", id="key"),
        pytest.param(400, "ExpiredToken", StoreReason.ACCESS_DENIED, "credentials", id="expired"),
        pytest.param(400, "AuthorizationHeaderMalformed", StoreReason.MISCONFIGURED, "region", id="region"),
        pytest.param(501, "NotImplemented", StoreReason.MISCONFIGURED, "features", id="unsupported"),
    ],
)
def test_a_refusal_is_for_the_user(
    store: S3Store, faults: Faults, output: Path, status: int, code: str, reason: StoreReason, words: str
) -> None:
    faults.add("PUT", DATA, refuse(status, code), times=ALWAYS)
    with pytest.raises(PermanentError, match=rf"s3://artifacts/runs/.*{code}.*{words}") as caught:
        commit(store, output)
    assert (caught.value.reason, caught.value.exit_code) == (reason, 64)
    assert store.read_manifest("m1") is None


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


def test_a_server_without_conditional_puts_is_refused(store: S3Store, faults: Faults, output: Path) -> None:
    faults.add("PUT", ".put-if-absent", forget_condition, times=ALWAYS)
    with pytest.raises(PermanentError, match="ignores If-None-Match") as caught:
        commit(store, output)
    assert caught.value.reason == StoreReason.MISCONFIGURED
    assert not [name for name in everything(store) if name.startswith("m1")]


@pytest.mark.parametrize("inputs", [A, B], ids=["same-inputs", "other-inputs"])
def test_the_loser_of_a_race_takes_the_winners(
    s3_store_at: Callable[..., S3Store], healthy: S3Store, faults: Faults, output: Path, inputs: str
) -> None:
    """A has uploaded and is about to publish when B publishes: the server answers A with 412."""
    reached, go = threading.Event(), threading.Event()
    faults.add("PUT", MANIFEST, hold(reached, go))
    store = s3_store_at(faults.endpoint)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(commit, store, output)
        assert reached.wait(30)
        winner = healthy.commit("m1", output, inputs_digest=inputs, step="sft")
        go.set()
        loser: Manifest | StepError | None = None
        try:
            loser = slow.result(30)
        except PermanentError as error:
            loser = error
    if inputs == A:
        assert loser == winner
    else:
        assert isinstance(loser, PermanentError)
        assert loser.reason == StoreReason.CONFLICT
    assert healthy.read_manifest("m1") == winner
    assert healthy.verify("m1") == []
    assert not [name for name in everything(healthy) if "m1/data-" in name and winner.data not in name]


READING: list[tuple[str, Act]] = [
    ("torn", tear),
    ("shortened", shorten),
    ("bit-flip", flip_bit),
    ("slow-down", SLOW_DOWN),
    ("reset", lose_answer),
]


@pytest.mark.parametrize("name", ["small.jsonl", "model.bin"])
@pytest.mark.parametrize("act", [p[1] for p in READING], ids=[p[0] for p in READING])
def test_a_bad_download_is_made_again(
    store: S3Store, faults: Faults, output: Path, tmp_path: Path, name: str, act: Act
) -> None:
    commit(store, output)
    fault = faults.add("GET", f"/{name}", act)
    assert whole(store, output, tmp_path)
    assert fault.met == 1


@pytest.mark.parametrize(
    ("act", "error", "reason", "kind"),
    [
        pytest.param(tear, InfrastructureError, StoreReason.UNAVAILABLE, None, id="torn"),
        pytest.param(shorten, PermanentError, StoreReason.CORRUPT, ProblemKind.SIZE, id="shortened"),
        pytest.param(flip_bit, PermanentError, StoreReason.CORRUPT, ProblemKind.CONTENT, id="bit-flip"),
        pytest.param(SLOW_DOWN, InfrastructureError, StoreReason.UNAVAILABLE, None, id="slow-down"),
    ],
)
def test_a_download_that_stays_bad_is_never_used(
    store: S3Store,
    faults: Faults,
    output: Path,
    tmp_path: Path,
    act: Act,
    error: type[StepError],
    reason: StoreReason,
    kind: ProblemKind | None,
) -> None:
    commit(store, output)
    faults.add("GET", "/model.bin", act, times=ALWAYS)
    with pytest.raises(error, match=r"m1") as caught:
        store.fetch("m1", tmp_path / "copy")
    assert caught.value.reason == reason
    assert not (tmp_path / "copy").exists()
    assert [path.name for path in tmp_path.glob(".fetch-*") if path.is_dir()] == []
    with pytest.raises(error), store.open("m1", "model.bin") as stream:
        stream.read()
    if kind is not None:
        assert [(problem.name, problem.kind) for problem in store.verify("m1")] == [("model.bin", kind)]


def test_unfinished_uploads_go_with_delete(store: S3Store, healthy: S3Store) -> None:
    """What a killed process leaves of a multipart upload costs money and shows in no listing."""
    client, key = healthy._bucket.client, f"{healthy._root}m1/data-0123456789abcdef/model.bin"
    client.create_multipart_upload(Bucket="artifacts", Key=key)

    def uploads() -> list[str]:
        answer = client.list_multipart_uploads(Bucket="artifacts", Prefix=healthy._root)
        return [item["Key"] for item in answer.get("Uploads", [])]

    assert uploads() == [key]
    healthy.delete("m1")
    assert uploads() == []


def test_what_is_half_deleted_is_not_committed(store: S3Store, healthy: S3Store, faults: Faults, output: Path) -> None:
    commit(store, output)
    faults.add("DELETE", DATA, SLOW_DOWN, times=ALWAYS)
    with pytest.raises(InfrastructureError):
        store.delete("m1")
    assert healthy.read_manifest("m1") is None
    assert [name for name in everything(healthy) if DATA[1:] in name]
    faults.clear()
    store.delete("m1")
    assert not [name for name in everything(healthy) if name.startswith("m1")]


def test_delete_survives_a_server_that_lists_no_uploads(
    store: S3Store, faults: Faults, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    commit(store, output)
    faults.add("GET", "?uploads", refuse(501, "NotImplemented"), times=ALWAYS)
    store.delete("m1")
    assert [name for name in everything(store) if name.startswith("m1")] == []
    assert "unfinished uploads" in caplog.text


@pytest.mark.parametrize(
    ("uri", "endpoint", "words"),
    [
        pytest.param("gs://bucket/x", None, "use file:///absolute/path or s3://bucket/prefix", id="scheme"),
        pytest.param("/data/run", None, "use file:///absolute/path", id="no-scheme"),
        pytest.param("file://data/run", None, "three slashes", id="two-slashes"),
        pytest.param("file:///", None, "three slashes", id="root-of-the-disk"),
        pytest.param("s3:///prefix", None, "not a bucket name", id="no-bucket"),
        pytest.param("s3://My_Bucket/x", None, "not a bucket name", id="bad-bucket"),
        pytest.param("s3://bucket/a//b", None, "may not hold", id="empty-segment"),
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
