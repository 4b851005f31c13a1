"""Addresses to files: folders, packages that are never imported, and a real S3-speaking server."""

import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.contract import CustomTemplate, ModelImport
from selfreward_steps.errors import PermanentError, StepError
from selfreward_steps.importing.model import import_model
from selfreward_steps.importing.seed.datasets import import_seed
from selfreward_steps.importing.sources import Place, in_users_words, locate, package_folder
from selfreward_steps.importing.templates import import_template
from steps.importing.seed.seeding import config_of


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "scratch", ProgressReporter(enabled=False))


def refusal(uri: str, place: Place) -> str:
    with pytest.raises(PermanentError) as caught:
        locate(uri, "seedData.eft", place)
    assert caught.value.reason == "SourceNotFound"
    return str(caught.value)


def test_a_file_with_a_space_in_its_name(tmp_path: Path, place: Place) -> None:
    path = tmp_path / "my data.jsonl"
    path.write_text("x")
    assert locate(path.as_uri(), "model", place) == path


def test_a_missing_file_says_what_is_there(tmp_path: Path, place: Place) -> None:
    for name in ("a.jsonl", "b.jsonl", ".hidden"):
        (tmp_path / name).write_text("x")
    message = refusal(f"file://{tmp_path}/c.jsonl", place)
    assert message == (
        f"seedData.eft.uri: file://{tmp_path}/c.jsonl: there is no such file or folder: "
        f"{tmp_path} holds a.jsonl, b.jsonl"
    )
    assert f"{tmp_path}/no does not exist either" in refusal(f"file://{tmp_path}/no/c.jsonl", place)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file://data/run.jsonl", "did you mean file:///data/run.jsonl?"),
        ("ftp://host/file", "ftp:// is not known: use hf://, s3://, file:// or package://"),
        ("package://no-such-package/x", "Python package no-such-package is not installed: pip install no-such-package"),
        ("package://moto/no.jsonl", "package moto has no no.jsonl"),
        ("package://moto/../pip/x", "a path inside the package"),
        ("package://moto", "a path inside the package"),
        ("s3://bucket", "use s3://BUCKET/KEY"),
    ],
)
def test_a_bad_address(uri: str, expected: str, place: Place) -> None:
    message = refusal(uri, place)
    assert message.startswith(f"seedData.eft.uri: {uri}: ")
    assert expected in message


def test_a_package_is_found_without_running_it(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "weights_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "model.gguf").write_text("x")
    monkeypatch.syspath_prepend(tmp_path)
    assert locate("package://weights-of-mine/model.gguf", "model", place) == package / "model.gguf"
    assert "weights_of_mine" not in sys.modules


def test_a_distribution_whose_module_has_another_name() -> None:
    folder = package_folder("PyYAML")
    assert folder is not None
    assert (folder / "__init__.py").is_file()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        server.start()
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket="data")
        for key in ("model/config.json", "model/deep/x.json", "model2/config.json", "seed.jsonl", "seed.jsonl.old"):
            client.put_object(Bucket="data", Key=key, Body=key.encode())
        client.close()
        yield url
        server.stop()


@pytest.fixture
def bucket(s3: str, tmp_path: Path) -> Place:
    return Place(tmp_path / "scratch", ProgressReporter(enabled=False), s3)


def test_one_object(bucket: Place) -> None:
    path = locate("s3://data/seed.jsonl", "seedData.eft", bucket)
    assert path.read_text() == "seed.jsonl"
    assert [found.name for found in path.parent.iterdir()] == ["seed.jsonl"]


def test_a_prefix_is_a_folder_and_not_its_namesakes(bucket: Place) -> None:
    folder = locate("s3://data/model/", "model", bucket)
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == ["config.json", "deep/x.json"]
    assert not (folder.parent / "model2").exists()


def test_a_restart_brings_only_what_is_missing(bucket: Place) -> None:
    path = locate("s3://data/seed.jsonl", "seedData.eft", bucket)
    path.write_text("x" * len("seed.jsonl"))  # a second download would show
    assert locate("s3://data/seed.jsonl", "seedData.eft", bucket).read_text() == "x" * len("seed.jsonl")


def test_an_object_mended_in_place_is_read_again(bucket: Place) -> None:
    client = boto3.client("s3", endpoint_url=bucket.endpoint_url)
    for text in ("score 9", "score 4"):
        client.put_object(Bucket="data", Key="mended.jsonl", Body=text.encode())
        assert locate("s3://data/mended.jsonl", "seedData.eft", bucket).read_text() == text


def test_an_object_that_is_gone_is_no_part_of_its_folder_any_more(bucket: Place) -> None:
    client = boto3.client("s3", endpoint_url=bucket.endpoint_url)
    for name in ("a.safetensors", "b.safetensors"):
        client.put_object(Bucket="data", Key=f"shards/{name}", Body=b"x")
    assert len(list(locate("s3://data/shards", "model", bucket).iterdir())) == 2
    client.delete_object(Bucket="data", Key="shards/b.safetensors")
    assert [path.name for path in locate("s3://data/shards", "model", bucket).iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model.uri: /scratch/x: bad", "model.uri: s3://b/x: bad"),
        ("/scratch/x/config.json is bad", "s3://b/x/config.json is bad"),
        ("/scratch/xy and file:///scratch/x and /a/scratch/x", "/scratch/xy and file:///scratch/x and /a/scratch/x"),
    ],
)
def test_a_path_of_this_machine_is_told_as_the_users_address(text: str, told: str) -> None:
    assert in_users_words(text, {Path("/scratch/x"): "s3://b/x/"}) == told


def brought(uri: str, place: Place, folder: Path) -> None:
    """Import what is at `uri` as a judge template, a dataset or a model, by its name."""
    if uri.endswith(".txt"):
        import_template(CustomTemplate(uri=uri), place, folder)
    elif "." in uri:
        import_seed(config_of({"prompts": {"uri": uri}}), place, folder, {})
    else:
        item = ModelImport.model_validate({"source": {"uri": uri}, "output": "m0"})
        import_model(item, "model", place)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("bad.jsonl", {"": b'{"prompt": "a"}\n{"prompt": 1}\n'}),
        ("bad.json", {"": b"["}),
        ("bad.parquet", {"": b"PAR1 and no more"}),
        ("bad.jsonl.gz", {"": b"no gzip"}),
        ("bad.csv", {"": b"a"}),
        ("empty.jsonl", {"": b""}),
        ("bad.txt", {"": b"\xff"}),
        ("folder.txt", {"/inside": b"x"}),
        ("torn", {"/model.safetensors": b"x" * 20, "/config.json": b"{}"}),
        ("unconfigured", {"/model.safetensors": b"x" * 20}),
    ],
)
def test_no_message_names_where_a_download_lies(
    bucket: Place, tmp_path: Path, name: str, files: dict[str, bytes]
) -> None:
    client = boto3.client("s3", endpoint_url=bucket.endpoint_url)
    for inside, body in files.items():
        client.put_object(Bucket="data", Key=f"told/{name}{inside}", Body=body)
    with pytest.raises(PermanentError) as caught:
        brought(f"s3://data/told/{name}", bucket, tmp_path / "out")
    assert f"s3://data/told/{name}" in str(caught.value)
    assert str(bucket.scratch) not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("s3://data/none", "SourceNotFound"),
        ("s3://data/mod", "SourceNotFound"),
        ("s3://no-such-bucket/x", "BucketNotFound"),
    ],
)
def test_a_missing_object_or_bucket(uri: str, reason: str, bucket: Place) -> None:
    with pytest.raises(StepError) as caught:
        locate(uri, "seedData.eft", bucket)
    assert caught.value.reason == reason
    assert uri in str(caught.value)
