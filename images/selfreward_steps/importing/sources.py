"""Files of this machine for a `file://`, `package://` or `s3://` address.

Every error names the field the user wrote, the address and what to do. Hub addresses are :mod:`.hub`'s. It must not
import the package a `package://` address names: weights are looked up, never executed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.errors import PermanentError


@dataclass(frozen=True)
class Place:
    """Where sources are brought to, and what they are asked with."""

    scratch: Path
    """Folder for downloads; kept between attempts."""
    progress: ProgressReporter
    endpoint_url: str | None = None
    """S3-compatible endpoint of `s3://` sources: the store's, if it has one; else what the environment says."""
    region: str | None = None


def bad_source(field: str, uri: str, problem: str) -> PermanentError:
    """`field` is the spec's, such as `seedData.rankings`."""
    return PermanentError("SourceNotFound", f"{field}.uri: {uri}: {problem}")


def in_users_words(text: str, known: Mapping[Path, str]) -> str:
    """`text` with the address that the user gave for each of this machine's paths in `known`."""
    for path, uri in known.items():
        # Not within an address or a longer name.
        text = re.sub(rf"(?<![\w/.-]){re.escape(str(path))}(?![\w-])", partial(_address, uri), text)
    return text


def _address(uri: str, _: re.Match[str]) -> str:
    return uri.rstrip("/")


@contextmanager
def told_in_users_words(known: Mapping[Path, str]) -> Iterator[None]:
    """Errors of the body name the addresses that the user gave, and none of the paths in `known`."""
    try:
        yield
    except PermanentError as error:
        raise PermanentError(error.reason, in_users_words(str(error), known)) from error


def locate(uri: str, field: str, place: Place) -> Path:
    """The file or folder at `uri`, which is not `hf://`; downloads an S3 object, or all objects of a prefix.

    Raises PermanentError SourceNotFound, or the store's reasons for a bucket that is out of reach.
    """
    match urlsplit(uri).scheme:
        case "file":
            return _file(uri, field)
        case "package":
            return _package(uri, field)
        case "s3":
            return _s3(uri, field, place)
        case scheme:
            raise bad_source(field, uri, f"{scheme}:// is not known: use hf://, s3://, file:// or package://")


def _file(uri: str, field: str) -> Path:
    parts = urlsplit(uri)
    path = Path(unquote(parts.path))
    if parts.netloc:
        raise bad_source(field, uri, f"a file URI has three slashes: did you mean file:///{parts.netloc}{parts.path}?")
    if not path.exists():
        raise bad_source(field, uri, f"there is no such file or folder{_nearest(path)}")
    return path


def _package(uri: str, field: str) -> Path:
    name, _, inside = uri.removeprefix("package://").partition("/")
    folder = package_folder(name)
    if folder is None:
        raise bad_source(
            field, uri, f"Python package {name} is not installed: pip install {name}, or add it to the image"
        )
    path = folder / unquote(inside)
    if ".." in Path(inside).parts or not inside:
        raise bad_source(field, uri, "use package://NAME/PATH with a path inside the package")
    if not path.exists():
        raise bad_source(field, uri, f"package {name} has no {inside}{_nearest(path, within=folder)}")
    return path


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, by the name it is imported or installed by, without importing it."""
    module = re.sub(r"[-.]+", "_", name)
    try:
        # A top-level name without dots: its finder looks, and runs nothing of the package.
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is not None and found.submodule_search_locations:
        return Path(next(iter(found.submodule_search_locations)))
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    tops = sorted({file.parts[0] for file in files if len(file.parts) > 1 and not file.parts[0].endswith("-info")})
    return Path(str(importlib.metadata.distribution(name).locate_file(tops[0]))) if tops else None


def _nearest(path: Path, within: Path | None = None) -> str:
    """A hint of what does lie there; `within` is a folder that the user knows by another name, a package."""
    parent = path.parent
    told = parent if within is None else parent.relative_to(within) if parent != within else "it"
    if not parent.is_dir():
        return f": {told} does not exist either"
    names = sorted(child.name for child in parent.iterdir() if not child.name.startswith((".", "__")))
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f": {told} holds {shown or 'nothing'}"


def _s3(uri: str, field: str, place: Place) -> Path:
    # boto3 takes longer to import than a step takes to start.
    from selfreward_steps.store.s3_client import connect

    parts = urlsplit(uri)
    key = parts.path.strip("/")
    if not parts.netloc or not key:
        raise bad_source(field, uri, "use s3://BUCKET/KEY, or s3://BUCKET/PREFIX for a folder")
    bucket = connect(parts.netloc, endpoint_url=place.endpoint_url, region=place.region)
    objects = _objects(bucket, key, f"{field}.uri: {uri}")
    if not objects:
        raise bad_source(field, uri, "there is no such object, and none under that prefix")
    folder, versions = (place.scratch / name / parts.netloc for name in ("s3", "s3-versions"))
    for found in objects:
        path, version = folder / found.key, versions / found.key
        # An earlier attempt's download, of the object as it is now; a torn one was never renamed to this name.
        if not (path.is_file() and version.is_file() and version.read_text(encoding="utf-8") == found.version):
            with place.progress.busy():
                _download(bucket, found.key, path, f"{field}.uri: {uri}")
            version.parent.mkdir(parents=True, exist_ok=True)
            version.write_text(found.version, encoding="utf-8")
    if (folder / key).is_dir():
        _remove_others(folder / key, {folder / found.key for found in objects})
    return folder / key


@dataclass(frozen=True)
class _Object:
    key: str
    version: str
    """Changes whenever the object does: its ETag, and its length where a server has none."""


def _objects(bucket: Any, key: str, where: str) -> list[_Object]:
    from selfreward_steps.store.s3_errors import s3_errors

    with s3_errors(where):
        pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=key)
        listed = [
            _Object(found["Key"], f"{found.get('ETag', '')} {found['Size']}")
            for page in pages
            for found in page.get("Contents", [])
        ]
    # The object itself, or what lies under it as a folder; not others whose names only begin alike.
    return [found for found in listed if found.key == key] or [
        found for found in listed if found.key.startswith(key + "/") and not found.key.endswith("/")
    ]


def _remove_others(folder: Path, listed: Container[Path]) -> None:
    """What an earlier attempt downloaded and is no longer in the bucket."""
    for path in folder.rglob("*"):
        if path.is_file() and path not in listed:
            path.unlink()


def _download(bucket: Any, key: str, path: Path, where: str) -> None:
    from selfreward_steps.store.s3_errors import s3_errors

    if ".." in Path(key).parts:
        raise PermanentError("SourceNotFound", f"{where}: object {key!r} would lie outside its folder: rename it")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with s3_errors(where):
        bucket.client.download_file(bucket.name, key, str(part))
    part.rename(path)
