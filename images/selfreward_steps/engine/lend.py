"""The lending of this room to a server's image: `python3 -m selfreward_steps.engine.lend FOLDER`, an init container.

The server's image may be anybody's with vLLM. What must run in its processes is copied to a folder that the containers
of the pod share, with what it imports of ours.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parents[1]
_ROOMS: Final = ("contract", "engine")


def lend(folder: Path) -> None:
    """Copy what a server's processes import; again in the same pod it copies over what is there."""
    place = folder / _PACKAGE.name
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(_PACKAGE / "__init__.py", place)
    for room in _ROOMS:
        shutil.copytree(_PACKAGE / room, place / room, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)


if __name__ == "__main__":
    lend(Path(sys.argv[1]))
