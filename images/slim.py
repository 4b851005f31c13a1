"""Takes out of a virtual environment what its packages bring and no image needs: `python3 slim.py /opt/venv`.

An image with it removed must still start; each Dockerfile runs its program once after this. Standard library only.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

GENERATED = ("client/api", "client/models", "aio/client/api", "aio/client/models")
"""Of the `kubernetes` package: a class for each type of the API, loaded when it is asked for. The operator sends and
reads plain data."""
SERVICES = {"s3", "sts", "sso", "sso-oidc", "signin"}
"""Of botocore's descriptions of AWS: the store, and what credentials come from."""
SOURCES = (".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".hpp", ".f90", ".a")
"""What only compilers and type checkers read."""


def unneeded(packages: Path) -> Iterator[Path]:
    """Files and folders to remove."""
    for folder in packages.rglob("tests"):
        if folder.is_dir():
            yield folder
    for part in GENERATED:
        for path in (packages / "kubernetes" / part).rglob("*.py*"):
            if path.name.partition(".")[0] != "__init__":
                yield path
    for service in (packages / "botocore" / "data").glob("*/"):
        if service.is_dir() and service.name not in SERVICES:
            yield service
    for path in packages.rglob("*"):
        if path.suffix in SOURCES and path.is_file():
            yield path


def slim(environment: Path) -> None:
    """Remove it all."""
    (packages,) = environment.glob("lib/python3.*/site-packages")
    for path in list(unneeded(packages)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    slim(Path(sys.argv[1]))
