"""The answers a step has already got from a server, kept so that a restart loses only the requests in flight.

Each finished request goes to the store's journal at once, and to a spool on this machine in which only its place is
remembered: the rows can be written out in order although they came in none, without holding them in memory.
"""

from __future__ import annotations

import asyncio
import json
from array import array
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from selfreward_steps.errors import StepFailed
from selfreward_steps.rows import encode
from selfreward_steps.store import Journal

_ABSENT = -1


class FinishedRows:
    """Rows by their index, from 0 to `total` - 1; those of earlier attempts are there from the start.

    `spool` is a scratch file, made anew. Memory: 8 bytes a row.
    """

    def __init__(self, journal: Journal, spool: Path, total: int) -> None:
        self._journal = journal
        self._spool = spool.open("w+b")
        self._places = array("q", [_ABSENT]) * total
        self.total = total
        self.count = 0
        for record in journal.records():
            index = record.get("index")
            # A record of a shorter or longer input cannot be: the journal belongs to one inputs digest.
            if isinstance(index, int) and 0 <= index < total and isinstance(row := record.get("row"), dict):
                self._keep(index, row)
        self.recovered = self.count

    def __contains__(self, index: int) -> bool:
        return self._places[index] != _ABSENT

    async def add(self, index: int, row: Mapping[str, Any]) -> None:
        """Journal and keep one row; a second row of the same index is ignored."""
        # In a thread: the journal waits when the store lags, and the event loop must go on feeding the server.
        await asyncio.to_thread(self._journal.append, {"index": index, "row": dict(row)})
        self._keep(index, row)

    def refuse(self, index: int, row: Mapping[str, Any]) -> None:
        """Keep what stands for a row that the server did not take, for this attempt alone.

        It is not journalled: asking again costs nothing, and by then the server may have been given what it lacked.
        """
        self._keep(index, row)

    def _keep(self, index: int, row: Mapping[str, Any]) -> None:
        if index in self:
            return
        self._spool.seek(0, 2)
        self._places[index] = self._spool.tell()
        self._spool.write(encode(row))
        self.count += 1

    def lines(self, stop: int | None = None) -> Iterator[bytes]:
        """The rows, or those before `stop`, as JSONL lines in the order of their index; StepFailed RowsMissing if one
        is not there."""
        for index, place in enumerate(islice(self._places, stop)):
            if place == _ABSENT:
                raise StepFailed("RowsMissing", f"row {index} of {len(self._places)} was never finished")
            self._spool.seek(place)
            yield self._spool.readline()

    def rows(self, stop: int | None = None) -> Iterator[Any]:
        """The kept answers in order, each parsed from its JSON line."""
        return map(json.loads, self.lines(stop))

    def row(self, index: int) -> Any:
        """One finished row; KeyError when it is not there."""
        if index not in self:
            raise KeyError(index)
        self._spool.seek(self._places[index])
        return json.loads(self._spool.readline())

    def write(self, path: Path) -> None:
        """Write all rows to a JSONL file, in the order of their index."""
        with path.open("wb") as file:
            file.writelines(self.lines())

    def close(self) -> None:
        """Close the journal, keeping its records, and drop the spool."""
        self._spool.close()
        self._journal.close()

    def __enter__(self) -> FinishedRows:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
