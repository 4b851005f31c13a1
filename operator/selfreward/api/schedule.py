"""When the next iteration may start: at a time, or once somebody has approved it.

So a run can be driven from outside, iteration by iteration: by the clock, or by a pull request that raises a number.
The calendar is computed here and nowhere else; it is pure: a moment in, a moment out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from selfreward_steps.contract import ContractModel

_PART = r"(?:[0-9*/,-]|[A-Za-z]{3})+"
_CRON = rf"^(?:@(?:yearly|annually|monthly|weekly|daily|midnight|hourly)|{_PART}(?: {_PART}){{4}})$"
"""Five fields or a name. Not the chance (`R`) of other dialects: the same moment must always give the same answer."""


class Schedule(ContractModel):
    """When the next iteration may start; without it, at once."""

    cron: Annotated[str, Field(pattern=_CRON)] | None = None
    """Five cron fields (`0 22 * * MON-FRI`) or `@daily` and the like: the next iteration starts at the first such
    time after the iteration before it was done."""
    time_zone: str = "Etc/UTC"
    """Time zone of `cron`, as `Europe/Berlin`."""
    approval: bool = False
    """The next iteration starts when the annotation `selfreward.dev/approved-iteration` is at least its number."""

    @field_validator("cron")
    @classmethod
    def _comes_to_pass(cls, cron: str | None) -> str | None:
        """A pattern cannot tell that there is no 61st minute and no 30th of February."""
        if cron is not None:
            _next(cron, datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
        return cron

    @field_validator("time_zone")
    @classmethod
    def _exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, OSError, ValueError) as error:  # a name that is none, a folder, a path
            raise ValueError("there is no such time zone") from error
        return name

    def opens_at(self, since: datetime) -> datetime | None:
        """When an iteration that waits since then may start, by the calendar; None when no calendar is asked for."""
        return None if self.cron is None else _next(self.cron, since.astimezone(ZoneInfo(self.time_zone)))


def _next(cron: str, after: datetime) -> datetime:
    from croniter import croniter  # only those who use a calendar pay for it

    moment: datetime = croniter(cron, after).get_next(datetime)
    return moment
