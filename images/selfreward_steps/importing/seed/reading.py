"""The rows of one seed dataset, one at a time, each with the place it stands in.

Reads JSONL, JSON, Parquet and hub datasets. It knows nothing of what a row should hold; it makes sure that every
broken file is told with its name and line, and that no dataset is in memory whole unless its format forces it.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from selfreward_steps.contract import DataSource
from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.hub import commit_of, hub_errors, split_hub
from selfreward_steps.importing.sources import Place, in_users_words, locate
from selfreward_steps.json_text import parse_json

ENDINGS = (".jsonl", ".json", ".parquet", ".jsonl.gz")


@dataclass(frozen=True)
class Row:
    """One row's columns, and where it stands in words: `answers.jsonl, line 12`."""

    values: Mapping[str, Any]
    where: str


def bad_data(field: str, where: str, problem: str) -> PermanentError:
    """`field` is the spec's, such as `seedData.rankings`."""
    return PermanentError("BadSeedData", f"{field}: {where}: {problem}")


def read_source(source: DataSource, field: str, token: str | None, place: Place) -> Iterator[Row]:
    """The rows of `source`, at most `source.limit`.

    Raises PermanentError BadSeedData, SourceNotFound, HubNotFound or HubAccessDenied, some of them only while it is
    iterated; InfrastructureError HubUnavailable.
    """
    rows = _hub(source, field, token) if source.uri.startswith("hf://") else _file(source, field, place)
    own = source.columns.model_dump(exclude_none=True) if source.columns is not None else {}
    for name, times in Counter(own.values()).items():
        if times > 1:
            known = " and ".join(known for known, given in own.items() if given == name)
            raise bad_data(
                f"{field}.columns", source.uri, f"{known} are both {name!r}: name a column of its own for each"
            )
    for row in islice(rows, source.limit):
        place.progress.alive()
        yield _renamed(row, own, field) if own else row


def _renamed(row: Row, own: Mapping[str, str], field: str) -> Row:
    """`row` with the known names for the columns that the dataset calls otherwise; `own` has its names by them."""
    for known, name in own.items():
        if name not in row.values:
            raise bad_data(
                f"{field}.columns.{known}", row.where, f"{name!r} is no column; found {', '.join(row.values)}"
            )
    kept = {name: value for name, value in row.values.items() if name not in own.values() and name not in own}
    return Row({**kept, **{known: row.values[name] for known, name in own.items()}}, row.where)


@dataclass(frozen=True)
class _File:
    """A file of this machine, and the address by which the user knows it."""

    path: Path
    name: str


def _file(source: DataSource, field: str, place: Place) -> Iterator[Row]:
    found = _File(locate(source.uri, field, place), source.uri)
    if found.path.is_dir():
        raise bad_data(field, found.name, f"it is a folder: name one file ({', '.join(ENDINGS)})")
    if found.path.stat().st_size == 0:
        raise bad_data(field, found.name, "the file is empty")
    match found.path.suffixes[-2:]:
        case [".jsonl", ".gz"]:
            return _zipped(found, field)
        case [*_, ".jsonl"]:
            return _lines_of(found, field)
        case [*_, ".json"]:
            return _json(found, field)
        case [*_, ".parquet"]:
            return _parquet(found, field)
    ending = found.path.suffix or "nothing"
    raise bad_data(field, found.name, f"the name ends in {ending!r}: use one of {', '.join(ENDINGS)}")


def _lines_of(found: _File, field: str) -> Iterator[Row]:
    with found.path.open("rb") as file:
        yield from _lines(file, found.name, field)


def _zipped(found: _File, field: str) -> Iterator[Row]:
    try:
        with gzip.open(found.path, "rb") as file:
            yield from _lines(file, found.name, field)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f"the compressed file is cut off or damaged ({error}): get it again"
        raise bad_data(field, found.name, problem) from error


def _lines(file: BinaryIO | gzip.GzipFile, name: str, field: str) -> Iterator[Row]:
    offset = 0
    for number, line in enumerate(file, 1):
        where = f"{name}, line {number}"
        text = _decoded(line, offset, where, field).removeprefix("\ufeff")
        offset += len(line)
        if text.strip():
            yield Row(_object(text, line.endswith(b"\n"), where, field), where)


def _decoded(raw: bytes, offset: int, where: str, field: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        at, byte = offset + error.start, raw[error.start]
        raise bad_data(field, where, f"byte {at} (0x{byte:02x}) is not UTF-8: convert the file to UTF-8") from error


def _object(text: str, ended: bool, where: str, field: str) -> dict[str, Any]:
    try:
        found = parse_json(text)
    except ValueError as error:
        cut = "" if ended else ", the last line, is cut off"
        raise bad_data(field, f"{where}{cut}", f"not JSON: {error}: {text[:60].strip()!r}") from error
    return _mapping(found, where, field)


def _mapping(found: object, where: str, field: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise bad_data(field, where, f"a row is a JSON object with columns, found {str(found)[:60]!r}")
    return found


def _json(file: _File, field: str) -> Iterator[Row]:
    # One JSON value: there is no reading it a row at a time.
    text = _decoded(file.path.read_bytes(), 0, file.name, field)
    try:
        found = parse_json(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        hint = ": if each line is an object, name it .jsonl" if error.msg == "Extra data" else ""
        raise bad_data(field, f"{file.name}, line {error.lineno}", f"not JSON: {error.msg}{hint}") from error
    except ValueError as error:
        raise bad_data(field, file.name, f"not JSON: {error}") from error
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        found = found["data"]
    if not isinstance(found, list):
        raise bad_data(field, file.name, "a .json file holds a list of rows: [{…}, …]")
    for number, row in enumerate(found, 1):
        where = f"{file.name}, row {number}"
        yield Row(_mapping(row, where, field), where)


def _parquet(found: _File, field: str) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(found.path) as file:
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield Row(row, f"{found.name}, row {number}")
    except (pyarrow.ArrowException, OSError) as error:
        problem = f"not whole Parquet: {in_users_words(str(error), {found.path: found.name})}: get it again"
        raise bad_data(field, f"{found.name}, after row {number}", problem) from error


def _hub(source: DataSource, field: str, token: str | None) -> Iterator[Row]:
    import datasets

    owner, name, configuration = split_hub(source.uri.removeprefix("hf://datasets/"), f"{field}.uri", source.uri)
    number = 0
    with hub_errors(field, source.uri, source.revision, token is not None):
        # Asked first, since the datasets library takes half a minute to give up, and then says little.
        commit = commit_of("dataset", f"{owner}/{name}", source.revision, token)
        try:
            found = datasets.load_dataset(
                f"{owner}/{name}",
                configuration or None,
                split=source.split,
                revision=commit,
                token=token or False,
                streaming=True,
            )
            for row in found:
                number += 1
                yield Row(row, f"{source.uri} [{source.split}], row {number}")
        except datasets.exceptions.DatasetNotFoundError as error:
            told = "the token given may not read it" if token else f"no token was given: set {field}.tokenSecretRef"
            raise PermanentError("HubAccessDenied", f"{field}.uri: {source.uri}: {told} ({_one(error)})") from error
        except (ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            # An unknown split or configuration, or a dataset made by a script; the library says which there are.
            at = f"{source.uri}, split {source.split!r}, after row {number}"
            raise bad_data(field, at, _one(error)) from error


def _one(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
