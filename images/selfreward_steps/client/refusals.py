"""What a server that refuses a request says: whose matter it is, and which parameters it does not take. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from selfreward_steps.json_text import parse_json

_OF_THE_ROW = frozenset({400, 413, 422})
"""The request itself is wrong, and another may not be: its text is too long, or has something that is not taken."""
_NO_CREDIT_CODES = frozenset(
    {"insufficient_quota", "insufficient_balance", "billing_hard_limit_reached", "billing_not_active"}
)
_NO_CREDIT = re.compile(
    r"insufficient[ _](?:balance|credits?|funds)|credit balance is too low|(?:out of|not enough|no more) credits?\b"
    r"|payment required|billing hard limit",
    re.IGNORECASE,
)
"""Told at once: waiting brings no money. "You exceeded your current quota" alone is none of these: some servers say it
of the requests of a minute."""
_NOT_TAKEN = re.compile(
    r"unsupported|not supported|does(?: not|n't) support|unknown|unrecogni[sz]ed|unexpected|not permitted"
    r"|not allowed(?! to)|only the default",
    re.IGNORECASE,
)
_NOT_TAKEN_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden"})


@dataclass(frozen=True)
class ServerError:
    """An answer that is an error, in the shapes in use: OpenAI's, vLLM's, FastAPI's, Google's."""

    status: int
    message: str
    """One line of at most 300 characters."""
    codes: frozenset[str] = frozenset()
    """`error.code` and `error.type`."""
    parameters: tuple[str, ...] = ()
    """What the server says it does not take."""

    @property
    def is_of_the_row(self) -> bool:
        """Whether it may be this request's matter alone."""
        return self.status in _OF_THE_ROW and not self.is_out_of_credit

    @property
    def is_out_of_credit(self) -> bool:
        """Whether somebody must pay before the server answers again."""
        return self.status == 402 or (
            400 <= self.status < 500
            and (bool(self.codes & _NO_CREDIT_CODES) or _NO_CREDIT.search(self.message) is not None)
        )

    @property
    def advice(self) -> str:
        """What the user can do about it."""
        if self.is_out_of_credit:
            return "add credit or raise the account's limit, then retry the run"
        match self.status:
            case 401 | 403:
                return "check the API key and its rights"
            case 301 | 302 | 303 | 307 | 308:
                return "it sends elsewhere, where no key is sent to: give the address that it leads to, if it is yours"
            case 404:
                return "check the URL (it ends with /v1) and the model's name"
            case _:
                return "change what the server objects to"


def read_error(status: int, text: str) -> ServerError:
    """The error in the body `text`, which may also be a proxy's page or nothing."""
    error = _error(text)
    message = _message(error, text)
    codes = frozenset(str(error[name]) for name in ("code", "type") if error.get(name))
    return ServerError(status, message, codes, tuple(_not_taken(error, message, codes)))


def _error(text: str) -> Mapping[str, Any]:
    try:
        body = parse_json(text)
    except ValueError:
        return {}
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else {}
    return error if isinstance(error, dict) else {"message": error}


def _message(error: Mapping[str, Any], text: str) -> str:
    found = error.get("message") or error.get("detail")
    if isinstance(found, list):
        found = "; ".join(f"{'.'.join(_place(each))}: {each.get('msg')}" for each in _details(error))
    # A lone surrogate, which JSON can carry, has no UTF-8, and the words go into rows and results.
    said = " ".join(str(found or text).split())[:300].encode(errors="replace").decode()
    return said or "(empty body)"


def _details(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """FastAPI's: one object a fault, with the place it stands at."""
    detail = error.get("detail")
    return [each for each in detail if isinstance(each, dict)] if isinstance(detail, list) else []


def _place(fault: Mapping[str, Any]) -> list[str]:
    """Where the fault stands, from the outside in."""
    place = fault.get("loc")
    return [str(each) for each in place] if isinstance(place, list) else []


def _not_taken(error: Mapping[str, Any], message: str, codes: frozenset[str]) -> Iterator[str]:
    for each in _details(error):
        if str(each.get("type")) in _NOT_TAKEN_CODES and (place := _place(each)):
            yield place[-1]
    if codes & _NOT_TAKEN_CODES or _NOT_TAKEN.search(message):
        yield from (str(error["param"]),) if error.get("param") else re.findall(r"\w+", message)
