"""A Python that imports what a later process needs, waits for its order, and becomes that process.

Run by path: `python -P warm.py ORDER MODULE...`. ORDER is the file that will appear: the command line (of `python -m`),
environment, working directory and log of the process. It must stay standard library only and not import the package it
lies in, since it becomes any program.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import time

_LOOK_SECONDS = 0.02


def main() -> None:
    """Import, wait, and run; ends as the program does."""
    path, *modules = sys.argv[1:]
    before = dict(os.environ)
    for module in modules:
        importlib.import_module(module)
    # Imports prepare their process (which GPUs it sees, that no hub is asked), and are not done a second time.
    prepared = {name: text for name, text in os.environ.items() if before.get(name) != text}
    while not os.path.exists(path):
        time.sleep(_LOOK_SECONDS)
    with open(path, encoding="utf-8") as file:
        order = json.load(file)
    os.unlink(path)
    module = _become(order, prepared)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _become(order: dict[str, object], prepared: dict[str, str]) -> str:
    """Take on the process's environment, above what is `prepared`, folder, output and arguments; returns its module."""
    environment, argv = order["env"], order["argv"]
    assert isinstance(environment, dict)
    assert isinstance(argv, list)
    os.environ.clear()
    os.environ.update({**prepared, **environment})
    os.chdir(str(order["cwd"]))
    log = os.open(str(order["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    # As the interpreter does for `-m`.
    sys.path.insert(0, os.getcwd())
    _, dash, module, *arguments = argv
    assert dash == "-m"
    sys.argv = [module, *map(str, arguments)]
    return str(module)


if __name__ == "__main__":
    main()
