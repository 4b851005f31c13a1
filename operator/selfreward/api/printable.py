"""Text of others, made safe to print: what a model writes, a server answers or a tenant names drives no terminal."""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline: ESC begins every command to a terminal
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # order of writing: what is read is not what is there
    "\u2028\u2029"  # line and paragraph separators
    "\ud800-\udfff"  # halves of characters, which cannot be written
    "]"
)
REPLACEMENT: Final = "\ufffd"


def printable(text: str) -> str:
    """The text with each character that is a command, and not to be seen, replaced by U+FFFD.

    A carriage return before a newline goes without a trace.
    """
    return _UNSAFE.sub(REPLACEMENT, text.replace("\r\n", "\n"))
