"""A bucket store when the server, or the way to it, fails: nothing is lost, doubled or silently wrong."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError
from selfreward_steps.store import Manifest, StoreReason
from selfreward_steps.store.s3_store import S3Store

from ..fault_proxy import (
    ALWAYS,
    Act,
    Faults,
    hold,
    lose_answer,
    never_answer,
    refuse,
    reset_while_uploading,
    tear,
)
from ..stored_bytes import A, B, everything
from .committing import DATA, IMPATIENT, MANIFEST, SLOW_DOWN, commit, whole

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
