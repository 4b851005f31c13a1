"""What goes wrong on the way: a plan of faults for requests and for watch events.

Deterministic: a fault names the request it strikes, or a seeded generator draws. The plan decides; `server` and
`watching` carry out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from kube.requests import Logged


class FaultKind(StrEnum):
    """What becomes of one request."""

    ANSWER = "answer"
    """Refused with a status, nothing done."""
    SLOW = "slow"
    """Done, answered after `seconds`."""
    TIMEOUT_AFTER_COMMIT = "timeout-after-commit"
    """Done, never answered; the connection closes after `seconds`."""
    RESET_BEFORE_COMMIT = "reset-before-commit"
    """Not done, the connection is reset."""
    RESET_AFTER_COMMIT = "reset-after-commit"
    """Done, the connection is reset."""


_REASONS: Final = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True)
class Fault:
    """One fault. `on` is "VERB PLURAL" with `*` for any ("create jobs", "* *", "update selfrewardruns/status").

    Discovery has the verb `discover` and its path for a plural ("discover /apis"); "* *" strikes it too.
    """

    kind: FaultKind = FaultKind.ANSWER
    answer: int = 503
    retry_after: int | None = None
    """Seconds of a Retry-After header (429, 503)."""
    seconds: float = 120
    """How long a slow answer or a dead connection takes."""
    on: str = "* *"
    nth: int = 1
    """Which of the matching requests is the first to be struck, from 1."""
    times: int = 1
    """How many requests it strikes; 0 for all from the first on."""
    user_agent: str | None = None
    """Only requests of the client of that name."""

    def __str__(self) -> str:
        return f"{self.kind} {self.answer}" if self.kind is FaultKind.ANSWER else str(self.kind)

    def matches(self, request: Logged) -> bool:
        """Whether `request` is of those it is meant for."""
        verb, plural = self.on.split()
        mine = self.user_agent is None or self.user_agent == request.user_agent
        return mine and verb in ("*", request.verb) and plural in ("*", request.plural)

    def as_status(self) -> dict[str, Any]:
        """The Status object it answers with."""
        details = {"retryAfterSeconds": self.retry_after} if self.retry_after is not None else {}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": f"injected: {_REASONS[self.answer]}",
            "reason": _REASONS[self.answer],
            "code": self.answer,
            "details": details,
        }


class WatchFaultKind(StrEnum):
    """What becomes of one watch event, or of the watch."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    STALE = "stale"
    """Delivered as the object was one revision before, and delivered truly with the next event."""
    STALL = "stall"
    """The watch falls silent, bookmarks included, but stays open."""
    GONE = "gone"
    """The watch ends with an ERROR event 410, the event itself lost."""
    CLOSE = "close"
    """The connection closes before the event."""


@dataclass(frozen=True)
class WatchFault:
    """A fault of the `nth` event of the watches of `plural` (`*`: any), counted over all of them."""

    kind: WatchFaultKind
    plural: str = "*"
    nth: int = 1
    times: int = 1
    user_agent: str | None = None

    def matches(self, plural: str, user_agent: str) -> bool:
        return self.plural in ("*", plural) and self.user_agent in (None, user_agent)


@dataclass
class _Counted:
    fault: Fault | WatchFault
    seen: int = 0

    def strikes(self) -> bool:
        """Count one matching request or event; whether it is struck."""
        self.seen += 1
        first, times = self.fault.nth, self.fault.times
        return self.seen >= first and (times == 0 or self.seen < first + times)


Decide = Callable[[Logged], Fault | None]
RANDOM_FAULTS: Final = (
    *(Fault(answer=code) for code in (409, 422, 500, 503)),
    Fault(answer=429, retry_after=1),
    Fault(FaultKind.TIMEOUT_AFTER_COMMIT),
    Fault(FaultKind.RESET_BEFORE_COMMIT),
    Fault(FaultKind.RESET_AFTER_COMMIT),
    Fault(FaultKind.SLOW, seconds=3),
)
RANDOM_WATCH_FAULTS: Final = (
    WatchFaultKind.DROP,
    WatchFaultKind.DUPLICATE,
    WatchFaultKind.STALE,
    WatchFaultKind.GONE,
    WatchFaultKind.CLOSE,
)


@dataclass
class FaultPlan:
    """What shall go wrong, and what did."""

    decide: Decide | None = None
    """Asked first about every request."""
    injected: list[str] = field(default_factory=list)
    """Every fault that struck, in words."""
    _requests: list[_Counted] = field(default_factory=list)
    _events: list[_Counted] = field(default_factory=list)
    _random: random.Random | None = None
    _rates: tuple[float, float] = (0, 0)
    _only: Callable[[str, str], bool] = lambda verb, user_agent: True

    def add(self, *faults: Fault) -> None:
        """Plan faults of requests."""
        self._requests += [_Counted(fault) for fault in faults]

    def on_watch(self, *faults: WatchFault) -> None:
        """Plan faults of watch events."""
        self._events += [_Counted(fault) for fault in faults]

    def at_random(
        self,
        seed: int,
        rate: float,
        watch_rate: float | None = None,
        only: Callable[[str, str], bool] = lambda verb, user_agent: True,
    ) -> None:
        """Strike each request with probability `rate`, each watch event with `watch_rate` (the same if None).

        `only(verb, user_agent)` says which. Watches are opened undisturbed (their events are disturbed instead),
        and so is discovery.
        """
        self._random = random.Random(seed)
        self._rates = (rate, rate if watch_rate is None else watch_rate)
        self._only = only

    def clear(self) -> None:
        """Nothing goes wrong from now on; `injected` is kept."""
        self.decide, self._random = None, None
        self._requests.clear()
        self._events.clear()

    def for_request(self, request: Logged) -> Fault | None:
        """The fault that strikes `request`, if any."""
        fault = self.decide(request) if self.decide is not None else None
        for counted in self._requests:
            assert isinstance(counted.fault, Fault)
            # Every plan counts every request, also one that another fault strikes.
            if counted.fault.matches(request) and counted.strikes():
                fault = fault or counted.fault
        can_be_drawn = fault is None and request.verb not in ("watch", "discover")
        if can_be_drawn and self._draws(self._rates[0], request.verb, request.user_agent):
            assert self._random is not None
            fault = self._random.choice(RANDOM_FAULTS)
        if fault is not None:
            self.injected.append(f"{fault}: {request.verb} {request.plural} {request.name}")
        return fault

    def for_event(self, plural: str, user_agent: str) -> WatchFaultKind | None:
        """The fault that strikes the next event of a watch, if any."""
        kind = None
        for counted in self._events:
            assert isinstance(counted.fault, WatchFault)
            if counted.fault.matches(plural, user_agent) and counted.strikes():
                kind = kind or counted.fault.kind
        if kind is None and self._draws(self._rates[1], "watch", user_agent):
            assert self._random is not None
            kind = self._random.choice(RANDOM_WATCH_FAULTS)
        if kind is not None:
            self.injected.append(f"{kind}: watch {plural}")
        return kind

    def _draws(self, rate: float, verb: str, user_agent: str) -> bool:
        return self._random is not None and self._only(verb, user_agent) and self._random.random() < rate
