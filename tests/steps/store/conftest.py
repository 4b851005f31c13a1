"""Stores to test against: a folder, and a bucket of a real S3-speaking server in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from selfreward_steps.store import Manifest, Store
from selfreward_steps.store.file_store import FileStore
from selfreward_steps.store.s3_client import MIB, Bucket, S3Options, connect
from selfreward_steps.store.s3_store import S3Store

from .small_files import FILES, write
from .stored_bytes import A

BUCKET = "artifacts"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
}
# 5 MiB is the least that S3 takes for a part of a multipart upload.
OPTIONS = S3Options(attempts=3, connect_timeout_s=10, read_timeout_s=30, backoff_s=0.01, part_bytes=5 * MIB)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the S3 server ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the S3 server did not listen")


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def s3_port(s3_environment: None) -> Iterator[int]:
    """The port of a moto server with an empty bucket."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port, process)
        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def s3_endpoint(s3_port: int) -> str:
    return f"http://127.0.0.1:{s3_port}"


@pytest.fixture
def s3_prefix(tmp_path: Path) -> str:
    """A prefix that no other test uses: pytest numbers the folders."""
    return f"runs/{tmp_path.name}"


@pytest.fixture(scope="session")
def s3_buckets(s3_environment: None) -> Iterator[Callable[[str, S3Options, str], Bucket]]:
    """Connections to buckets, each made once as it takes boto3 a third of a second, and closed at the end."""
    made: dict[tuple[str, S3Options, str], Bucket] = {}

    def connected(endpoint: str, options: S3Options, bucket: str) -> Bucket:
        key = (endpoint, options, bucket)
        if key not in made:
            made[key] = connect(bucket, endpoint_url=endpoint, options=options)
        return made[key]

    yield connected
    for bucket in made.values():
        bucket.client.close()


@pytest.fixture
def s3_store_at(s3_prefix: str, s3_buckets: Callable[[str, S3Options, str], Bucket]) -> Callable[..., S3Store]:
    """Opens stores on one prefix, through any endpoint."""

    def open_at(endpoint: str, options: S3Options = OPTIONS, bucket: str = BUCKET) -> S3Store:
        return S3Store(s3_buckets(endpoint, options, bucket), s3_prefix)

    return open_at


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of each kind, on which the contract is tested."""
    if request.param == "file":
        return FileStore(tmp_path / "store")
    opened: Store = request.getfixturevalue("s3_store_at")(request.getfixturevalue("s3_endpoint"))
    return opened


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return write(tmp_path / "output", FILES)


@pytest.fixture
def committed(store: Store, output: Path) -> Manifest:
    return store.commit("m1", output, inputs_digest=A, step="sft", metadata={"loss": 0.25})
