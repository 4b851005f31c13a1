"""A bucket store whose requests go through a proxy that may spoil them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selfreward_steps.store.s3_store import S3Store

from ..conftest import OPTIONS
from ..fault_proxy import Faults, fault_proxy


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
