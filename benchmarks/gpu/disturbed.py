"""What a disturbed run's timeline tells: how each disturbance was taken, and how long until the run went on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Row = Mapping[str, Any]


def report(timeline: Sequence[Row], record: Row, code: int) -> dict[str, Any]:
    """One entry for each disturbance, and how the run ended; `record` is the run's own."""
    acts = [row for row in timeline if row["kind"] == "act"]
    ends = [*(act["at"] for act in acts[1:]), float("inf")]
    status = record["status"]
    told = []
    for act, end in zip(acts, ends, strict=True):
        told.append(_told(act, [row for row in timeline if act["at"] <= row["at"] < end], timeline))
    return {
        "acts": told,
        "code": code,
        "phase": status["phase"],
        "model": status.get("model"),
        "steps": {
            row["key"]: {name: row.get(name) for name in ("state", "attempt", "failures", "infrastructureFailures")}
            for part in status["iterations"]
            for row in part["steps"]
        },
    }


def _told(act: Row, after: Sequence[Row], timeline: Sequence[Row]) -> dict[str, Any]:
    key = _watched_key(act)
    before = _newest(timeline, f"progress {key}", act["at"])
    changes = [row for row in after if row["kind"] == "change"]
    served = _first(act, changes, "serving ", lambda value: value["state"] == "Ready")
    strikes_server = act["act"].startswith("engine@")
    later = [row for row in changes if not strikes_server or served is None or row["at"] - act["at"] > served]
    trained = _first(act, later, f"progress {key}", lambda value: _goes_on(value, before))
    return {
        "act": act["act"],
        "pid": act["pid"],
        "rank": act.get("rank"),
        "words": act.get("words"),
        "memory_before": act["memory"],
        "memory_after": next((row["value"]["memory"] for row in reversed(changes) if row["what"] == "dying"), {}),
        "done_before": before["done"] if before else None,
        "filled": [row["value"][0] for row in changes if row["what"] == "fill" and row["value"]],
        "processes_gone": _first(act, changes, "dying", lambda value: not value["alive"]),
        "gpu_gone": _first(act, changes, "dying", lambda value: not value["on_gpu"] and not value["alive"]),
        "said": [
            {"after": row["at"] - act["at"], "of": row["what"], **_in_short(row["value"])}
            for row in changes
            if row["what"].startswith(_SPEAKING) and (row["value"].get("reason") or row["value"].get("message"))
        ],
        "went_on": served if strikes_server else trained,
        "went_on_from": next(
            (
                row["value"]["done"]
                for row in later
                if row["what"] == f"progress {key}" and row["at"] - act["at"] == trained
            ),
            None,
        ),
        "caught_up": _first(
            act, later, f"progress {key}", lambda value: before is None or value["done"] > before["done"]
        ),
    }


_SPEAKING: Final = ("row ", "serving ", "condition ")


def _watched_key(act: Row) -> str:
    """The step that shows whether the run goes on: the one that was struck, or the one that finds no memory."""
    if not act["act"].startswith("memory@"):
        return str(act["key"])
    step, _, number = act["key"].rpartition("-")
    return f"dpo-{number}" if step else "respond-1"


def _goes_on(progress: Row, before: Row | None) -> bool:
    """Whether this is news: a new attempt's, or more than was done."""
    return before is None or progress["child"] != before["child"] or progress["done"] > before["done"]


def _newest(timeline: Sequence[Row], what: str, until: float) -> Row | None:
    found = [row["value"] for row in timeline if row["at"] < until and row.get("what") == what]
    return found[-1] if found else None


def _first(act: Row, changes: Sequence[Row], what: str, holds: Any) -> float | None:
    """Seconds from the act to the first of these changes for which something holds."""
    return next(
        (row["at"] - act["at"] for row in changes if row["what"].startswith(what) and holds(row["value"])), None
    )


def _in_short(value: Row) -> dict[str, Any]:
    names = ("state", "status", "attempt", "failures", "infrastructureFailures", "reason", "message")
    return {name: value[name] for name in names if value.get(name)}


def table(found: Row) -> str:
    """Markdown: a row for each disturbance."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Row) -> Iterator[str]:
    heads = ("processes gone, s", "off the GPU, s", "goes on, s", "done before, then", "as far as before, s")
    yield f"| done | what the run said | {' | '.join(heads)} |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for act in found["acts"]:
        seconds = [act[name] for name in ("processes_gone", "gpu_gone", "went_on", "caught_up")]
        cells = ["" if each is None else f"{each:.1f}" for each in seconds]
        cells.insert(3, f"{act['done_before']}, {act['went_on_from']}")
        yield f"| {_what(act)} | {_verdict(act)} | {' | '.join(cells)} |"
    yield ""
    tried = {key: row["attempt"] for key, row in found["steps"].items() if row["attempt"] > 1}
    yield (
        f"It ended with exit code {found['code']}, {found['phase']}, {found['model']}; "
        f"attempts: {', '.join(f'{key} {attempt}' for key, attempt in tried.items()) or 'one of each step'}."
    )


def _what(act: Row) -> str:
    """What was done; of a memory that was filled, what became of it."""
    filled = [json.loads(line)["fill"] for line in act["filled"]]
    words = "" if not act["act"].startswith("memory@") else f", the stranger: {filled[-1] if filled else 'no word'}"
    return f"{act['act']}{words}"


def _verdict(act: Row) -> str:
    """What the run said first of it, that is of a failure, with the class that it counted it as."""
    struck = [each for each in act["said"] if each["of"].startswith(("row ", "serving ")) and _is_failure(each)]
    told = dict.fromkeys(
        f"{each['of'].removeprefix('row ')}: {each['reason']}: {each.get('message', '')} "
        f"(failures {each.get('failures', 0)}, infrastructure {each.get('infrastructureFailures', 0)})"
        for each in struck
    )
    return "; ".join(told).replace("|", "\\|").replace("\n", " ")


def _is_failure(said: Row) -> bool:
    return said.get("reason") not in (None, "WaitingForServing", "Committed", "AlreadyCommitted") and (
        said.get("failures", 0) + said.get("infrastructureFailures", 0) > 0
    )
