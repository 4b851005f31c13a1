"""The start of a kept server in its pod: vLLM with the model that the agent has brought, and not before.

`python3 start.py MODELS COMMAND...`, run by path in an image that need not have anything of ours. So a container that
the kubelet starts again comes up with the model that is current, whatever it served first, and while the engine is to
sleep it takes no GPU. It must stay standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

CURRENT: Final = ".current.json"
"""File in the folder of models: variables that name the model to start with. Absent while none is to be served."""
LOCK: Final = ".engine"
"""File in the folder of models, locked while an engine's process lives, or is about to."""
_LOOK: Final = 0.2
_STOPPED: Final = 143


def main(arguments: Sequence[str] = sys.argv[1:]) -> None:
    """Wait for a model, then become the server."""
    signal.signal(signal.SIGTERM, _stop)  # as process 1 it would not hear it
    models, *command = arguments
    lock = os.open(Path(models) / LOCK, os.O_RDWR | os.O_CREAT, 0o660)
    variables = _wait(Path(models), lock)
    # What holds the lock from now on is the server, and whatever it leaves behind.
    os.set_inheritable(lock, True)
    code = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))
    program, *rest = [_expanded(word, variables) for word in command]
    os.execvpe(program, [program, *rest], {**os.environ, **variables, "PYTHONPATH": path})


def _wait(models: Path, lock: int) -> dict[str, str]:
    """The current model's variables, with the lock held: nobody can believe that no engine runs from here on."""
    while True:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            found: dict[str, str] = json.loads((models / CURRENT).read_text(encoding="utf-8"))
        except FileNotFoundError:
            fcntl.flock(lock, fcntl.LOCK_UN)
            time.sleep(_LOOK)
        else:
            return found


def _expanded(word: str, variables: Mapping[str, str]) -> str:
    for name, text in variables.items():
        word = word.replace(f"$({name})", text)
    return word


def _stop(*_: Any) -> None:
    sys.exit(_STOPPED)


if __name__ == "__main__":
    main()
