"""Messages without this machine's own folders: a step works in a scratch folder that no user ever named. Pure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

SCRATCH: Final = "the step's scratch space"
ROOM: Final = (
    "make room there or enlarge it (scratch space is the pod's ephemeral storage, on one machine the disk of the work "
    "directory)"
)
"""What to do about a full disk."""
_NAME: Final = r"[^\s'\":,;()]"
"""What a path is made of, in a message."""
_STEPS_OWN: Final = rf"/{_NAME}*?/[0-9a-f]{{16}}"
"""Below scratch: the run, the artifact, and what tells two runs of one name apart."""
_BROUGHT: Final = (
    (re.compile(r"inputs/"), ""),
    (re.compile(r"s3/"), "s3://"),
    (re.compile(r"hub/([^/]+/[^/]+)/[0-9a-f]+"), r"hf://\1"),
)
"""Where fetched artifacts and what the user named elsewhere are brought to, and how the user knows them."""


def in_users_words(message: str, scratch: Path) -> str:
    """`message` with what lies in `scratch` by the names that a user knows.

    A fetched artifact's file is the artifact's name and the file's, a download its address, any other file what it is
    called in the step's own folder.
    """
    root = re.escape(str(scratch).rstrip("/"))
    named = re.sub(rf"{root}{_STEPS_OWN}/(?P<inside>{_NAME}+)", _told, message)
    return re.sub(rf"{root}(?:/{_NAME}*|(?![\w.-]))", SCRATCH, named)


def _told(found: re.Match[str]) -> str:
    inside = found["inside"]
    for place, address in _BROUGHT:
        if place.match(inside):
            return place.sub(address, inside, count=1)
    return inside
