"""Log lines: one JSON object each, for whoever collects them, or plain text for people."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final

from selfreward.api.printable import printable

_FIELDS: Final = ("run", "iteration", "step", "attempt", "phase")


class JsonFormatter(logging.Formatter):
    """Formats a line as one JSON object: time, level, message, and which run and step it is about."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        told |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """Formats a line as text for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def configure(style: str, level: str = "info") -> None:
    """Log to standard error in `style`, `json` or `text`. At `debug` only this project tells more: botocore would tell
    its signatures, the API's client whole objects. kopf is quiet always: it would tell of every event."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level="INFO" if level == "debug" else level.upper(), handlers=[handler], force=True)
    for name in ("selfreward", "selfreward_steps"):
        logging.getLogger(name).setLevel(level.upper())
    logging.getLogger("kopf").setLevel("ERROR" if level == "error" else "WARNING")
