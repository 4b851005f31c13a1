"""One record as one line of JSON, and back; the part of a journal that no kind of store changes."""

import json
from collections.abc import Iterable, Iterator, Mapping

from pydantic import JsonValue


def to_line(record: Mapping[str, JsonValue]) -> bytes:
    """The record and a newline, in ASCII; ValueError when it holds NaN or infinity."""
    text = json.dumps(dict(record), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.encode("ascii") + b"\n"


class LineParser:
    """Reads records and counts the lines that are none: torn by a kill, or zeroed by a power failure."""

    def __init__(self) -> None:
        self.dropped = 0

    def records(self, lines: Iterable[bytes]) -> Iterator[dict[str, JsonValue]]:
        for line in lines:
            record = _parse(line)
            if record is None:
                self.dropped += 1
            else:
                yield record


def _parse(line: bytes) -> dict[str, JsonValue] | None:
    # Without its newline even a line that parses may have lost its end: 12 of 123.
    if not line.endswith(b"\n"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
