"""When the next iteration may start: at a time, or once somebody has approved it.

So a run can be driven from outside, iteration by iteration: by the clock, or by a pull request that raises a number.
The calendar is computed here and nowhere else; it is pure: a moment in, a moment out.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field
from selfreward_steps.contract import ContractModel

_MONTHS: Final = "(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_DAYS: Final = "(?i:sun|mon|tue|wed|thu|fri|sat)"


def _field(value: str) -> str:
    """A cron field: `*`, a value or a range, with a step or without, and several of these."""
    element = f"([*]|({value})(-({value}))?)(/[1-9][0-9]?)?"
    return f"{element}(,{element})*"


_FIELDS: Final = (
    "[0-5]?[0-9]",
    "[01]?[0-9]|2[0-3]",
    "0?[1-9]|[12][0-9]|3[01]",
    f"0?[1-9]|1[0-2]|{_MONTHS}",
    f"[0-7]|{_DAYS}",
)
"""Values of minute, hour, day, month and weekday."""
CRON: Final = (
    f"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|{' '.join(_field(value) for value in _FIELDS)})$"
)
"""Five fields or a name. Not the chance (`R`) of other dialects: the same moment must always give the same answer."""
ZONE: Final = "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"
_STEPPED: Final = "(((-[0-9A-Za-z]+)?/[0-9]+)?)"
"""Steps through months may miss the long ones; which they miss is not worth a calendar in an expression."""
_ROUND: Final = "-[0-9]+/[0-9]+"
"""Steps past the end of a month, as in `30-27/28`: whether they reach a day of the next is not worth one either."""
_LAST_DAYS: Final = f"((30|31|30-31)(/[0-9]+)?|(30|31){_ROUND})"
_LAST_DAY: Final = f"31(/[0-9]+|{_ROUND})?"


def _only(days: str, months: str) -> str:
    months = f"(?i:{months}){_STEPPED}"
    return f"{days}(,{days})* {months}(,{months})*"


_EVERY_DAY: Final = "([^ ,]+,)*[*](/1)?(,[^ ]+)?"
"""Weekdays with a star among them, so that the days of the month decide alone; with ranges the weekdays count too."""
NEVER: Final = (
    f"^[^ ]+ [^ ]+ ({_only(_LAST_DAYS, '0?2|feb')}|{_only(_LAST_DAY, '0?[2469]|11|feb|apr|jun|sep|nov')}) {_EVERY_DAY}$"
)
"""Cron expressions of days that their months do not have: the 30th of February."""


class Schedule(ContractModel):
    """When the next iteration may start; without it, at once."""

    cron: Annotated[str, Field(pattern=CRON, max_length=256)] | None = None
    """Five cron fields (`0 22 * * MON-FRI`) or `@daily` and the like: the next iteration starts at the first such
    time after the iteration before it was done."""
    time_zone: Annotated[str, Field(pattern=ZONE, max_length=64)] = "Etc/UTC"
    """Time zone of `cron`, as `Europe/Berlin`."""
    approval: bool = False
    """The next iteration starts when the annotation `selfreward.dev/approved-iteration` is at least its number."""

    def opens_at(self, since: datetime) -> datetime | None:
        """When an iteration that waits since then may start, by the calendar; None when no calendar is asked for."""
        if self.cron is None:
            return None
        from croniter import croniter  # only those who use a calendar pay for it

        moment: datetime = croniter(self.cron, since.astimezone(ZoneInfo(self.time_zone))).get_next(datetime)
        return moment


def hours_in(moment: datetime, time_zone: str) -> int:
    """CEL's `getHours`: the hour of `moment` in a time zone. Below 0 where there is no such zone, of which CEL makes an
    error: a rule is broken by either."""
    return moment.astimezone(ZoneInfo(time_zone)).hour if time_zone in _zones() else -1


@cache
def _zones() -> frozenset[str]:
    # What this machine calls its own zone is no name elsewhere.
    return frozenset(available_timezones() - {"localtime"})
