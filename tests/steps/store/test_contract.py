"""What every store promises, on a folder and on a bucket alike."""

import io
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from selfreward_steps.errors import PermanentError
from selfreward_steps.store import Manifest, Problem, ProblemKind, Store, StoreReason
from selfreward_steps.store.s3_store import S3Store

from .small_files import FILES, read, write
from .stored_bytes import A, B, everything, put_foreign


def test_a_commit_is_read_back(store: Store, committed: Manifest, tmp_path: Path) -> None:
    assert store.read_manifest("m1") == committed
    assert {entry.name: entry.size for entry in committed.files} == {n: len(c) for n, c in FILES.items()}
    assert (committed.step, committed.inputs_digest, committed.metadata) == ("sft", A, {"loss": 0.25})
    assert store.fetch("m1", tmp_path / "copy") == committed
    assert read(tmp_path / "copy") == FILES
    assert read(store.local_folder("m1", tmp_path / "scratch")) == FILES
    assert {name: store.open("m1", name).read() for name in FILES} == FILES
    assert store.verify("m1") == []
    assert store.artifacts() == ["m1"]
    assert store.address("m1") == f"{store.uri}/m1"


def test_a_stream_is_read_by_lines(store: Store, committed: Manifest) -> None:
    with io.TextIOWrapper(store.open("m1", "pairs.jsonl"), "utf-8") as lines:
        assert list(lines) == [FILES["pairs.jsonl"].decode()]
    with pytest.raises(KeyError, match="no file 'other'"):
        store.open("m1", "other")


def test_a_large_file_goes_in_parts(store: Store, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 13 + b"tail"
    folder = write(tmp_path / "big", {"model.safetensors": content})
    manifest = store.commit("big", folder, inputs_digest=A, step="import")
    assert manifest.total_bytes == len(content)
    assert store.open("big", "model.safetensors").read() == content
    assert read(store.local_folder("big", tmp_path / "scratch")) == {"model.safetensors": content}
    # A reader that stops early must not leave threads behind that keep reading.
    with store.open("big", "model.safetensors") as stream:
        assert stream.read(10) == content[:10]


def test_committing_again_changes_nothing(store: Store, committed: Manifest, tmp_path: Path) -> None:
    before = everything(store)
    other = write(tmp_path / "other", {"pairs.jsonl": b"other"})
    again = store.commit("m1", other, inputs_digest=A, step="sft")
    assert again == committed
    assert everything(store) == before
    assert store.verify("m1") == []


def test_other_inputs_are_a_conflict(store: Store, committed: Manifest, output: Path) -> None:
    with pytest.raises(PermanentError, match=r"m1 is already committed .*another run name") as caught:
        store.commit("m1", output, inputs_digest=B, step="sft")
    assert (caught.value.reason, caught.value.exit_code) == (StoreReason.CONFLICT, 64)
    assert store.read_manifest("m1") == committed


@pytest.mark.parametrize(
    ("first", "second"), [("a", "a/b"), ("a", "a/b/c"), ("a/b", "a")], ids=["below", "far-below", "above"]
)
def test_artifacts_do_not_nest(store: Store, output: Path, first: str, second: str) -> None:
    store.commit(first, output, inputs_digest=A, step="sft")
    with pytest.raises(PermanentError) as caught:
        store.commit(second, output, inputs_digest=A, step="sft")
    assert caught.value.reason == StoreReason.CONFLICT
    assert store.artifacts() == [first]
    assert store.verify(first) == []


def test_what_is_not_committed_is_said_so(store: Store, tmp_path: Path) -> None:
    assert store.read_manifest("m1") is None
    assert store.verify("m1") == [Problem("manifest.json", ProblemKind.MISSING, "the artifact is not committed")]
    assert store.artifacts() == []
    calls: list[Callable[[], object]] = [
        lambda: store.fetch("m1", tmp_path / "copy"),
        lambda: store.local_folder("m1", tmp_path / "scratch"),
        lambda: store.open("m1", "pairs.jsonl"),
    ]
    for call in calls:
        with pytest.raises(PermanentError, match="m1 is not committed") as caught:
            call()
        assert caught.value.reason == StoreReason.NOT_COMMITTED
    assert not (tmp_path / "copy").exists()


def test_of_many_committers_one_wins(store: Store, tmp_path: Path) -> None:
    start = threading.Barrier(6)

    def commit(number: int) -> Manifest:
        folder = write(tmp_path / f"output-{number}", {"number.txt": str(number).encode()})
        start.wait()
        return store.commit("race", folder, inputs_digest=A, step="pairs")

    with ThreadPoolExecutor(6) as pool:
        manifests = list(pool.map(commit, range(6)))
    assert len({manifest.digest for manifest in manifests}) == 1
    assert all(manifest == store.read_manifest("race") for manifest in manifests)
    assert store.verify("race") == []
    data = manifests[0].data + "/" if manifests[0].data else ""
    expected = [f"race/{data}number.txt", "race/manifest.json"]
    assert [name for name in everything(store) if name.startswith("race")] == sorted(expected)
    assert not [name for name in everything(store) if ".staging" in name or ".trash" in name]


def test_names_and_deletion_go_by_whole_segments(store: Store, output: Path) -> None:
    wanted = ["iteration-1/pairs", "iteration-1/responses/shard-0", "iteration-10/pairs", "m1", "m10"]
    for artifact in wanted:
        store.commit(artifact, output, inputs_digest=A, step="sft")
    assert store.artifacts() == wanted
    assert store.artifacts("iteration-1") == wanted[:2]
    assert store.artifacts("iteration-1/responses/shard-0") == [wanted[1]]
    assert store.artifacts("m1") == ["m1"]
    store.delete("m1")
    store.delete("iteration-1")
    store.delete("never-was")
    assert store.artifacts() == ["iteration-10/pairs", "m10"]
    assert store.verify("m10") == []
    assert not [name for name in everything(store) if name.startswith(("m1/", "iteration-1/"))]
    store.commit("m1", output, inputs_digest=B, step="sft")


def test_deleting_everything_leaves_what_is_not_ours(store: Store, output: Path) -> None:
    store.commit("iteration-1/pairs", output, inputs_digest=A, step="pairs")
    with store.journal("iteration-1/judge", inputs_digest=A) as journal:
        journal.append({"score": 5})
    foreign = ["notes.txt", "iteration-1/notes.txt", "other/model/config.json"]
    for name in foreign:
        put_foreign(store, name)
    store.delete("")
    assert everything(store) == sorted(foreign)


@pytest.mark.parametrize(
    "name", ["", "/m1", "m1/", "../m1", "a//b", ".hidden", "a/manifest.json", "a b", "data-0123456789abcdef/x"]
)
def test_bad_names_are_refused(store: Store, output: Path, name: str) -> None:
    for call in (store.read_manifest, store.verify, store.address):
        with pytest.raises(ValueError, match="not an artifact name"):
            call(name)
    with pytest.raises(ValueError, match="not an artifact name"):
        store.commit(name, output, inputs_digest=A, step="sft")
    if name:
        with pytest.raises(ValueError, match="not an artifact name"):
            store.delete(name)


def test_a_folder_that_cannot_be_a_commit_is_refused_first(store: Store, tmp_path: Path, output: Path) -> None:
    cases: dict[str, Callable[[], Path]] = {
        "is not a folder": lambda: tmp_path / "missing",
        "not a file name": lambda: write(tmp_path / "reserved", {"manifest.json": b"{}"}),
        "neither a file nor a folder": lambda: linked_folder(tmp_path),
    }
    for message, folder in cases.items():
        with pytest.raises(ValueError, match=message):
            store.commit("m1", folder(), inputs_digest=A, step="sft")
    with pytest.raises(ValueError, match="Out of range float"):
        store.commit("m1", output, inputs_digest=A, step="sft", metadata={"loss": float("nan")})
    with pytest.raises(ValueError, match="inputs_digest"):
        store.commit("m1", output, inputs_digest="md5:0", step="sft")
    assert store.artifacts() == []


def linked_folder(tmp_path: Path) -> Path:
    folder = write(tmp_path / "linked", {"a.txt": b"a"})
    (folder / "link").symlink_to(tmp_path)
    return folder


def test_linked_files_are_stored_as_files(store: Store, tmp_path: Path) -> None:
    real = write(tmp_path / "blobs", {"blob": b"weights"})
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "model.bin").symlink_to(real / "blob")
    store.commit("m0", folder, inputs_digest=A, step="import")
    local = store.local_folder("m0", tmp_path / "scratch")
    assert (local / "model.bin").read_bytes() == b"weights"
    assert not (local / "model.bin").is_symlink()


def test_an_artifact_may_be_without_files(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    store.commit("none", tmp_path / "empty", inputs_digest=A, step="pairs", metadata={"pairs": 0})
    assert store.verify("none") == []
    assert read(store.local_folder("none", tmp_path / "scratch")) == {}


def test_datasets_load_where_they_lie(store: Store, tmp_path: Path) -> None:
    import datasets

    rows = "".join(f'{{"prompt": "p{i}", "chosen": "c", "rejected": "r"}}\n' for i in range(3))
    store.commit("pairs", write(tmp_path / "out", {"pairs.jsonl": rows.encode()}), inputs_digest=A, step="pairs")
    folder = store.local_folder("pairs", tmp_path / "scratch")
    loaded = datasets.load_dataset(
        "json", data_files=str(folder / "pairs.jsonl"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded["prompt"] == ["p0", "p1", "p2"]


def test_models_load_where_they_lie(store: Store, tmp_path: Path) -> None:
    import torch
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=32, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(tmp_path / "model")
    store.commit("m1", tmp_path / "model", inputs_digest=A, step="sft")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(store.local_folder("m1", tmp_path / "scratch"))
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_bucket_keeps_each_attempt_apart(store: Store, committed: Manifest) -> None:
    """A folder store shows the plain files; a bucket store shows them under the winner's data folder."""
    expected = f"data-{committed.data[-16:]}" if isinstance(store, S3Store) else ""
    assert committed.data == expected
    assert "/".join(filter(None, ["m1", committed.data, "pairs.jsonl"])) in everything(store)
