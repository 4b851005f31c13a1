"""A torchrun whose processes are forked from this one: `python -m selfreward_steps.training.launcher STEP`.

Run in a process that has imported torch and TRL already, it spares each rank the same imports. Agent, numbering, logs,
signals and last words are torchrun's own, with the shape read from the PET_* variables. It must not touch a GPU: CUDA
survives no fork.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import torch
from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.launcher.api import elastic_launch

from selfreward_steps.attempt import launch

_MODULE: Final = "selfreward_steps"
_DRIVER: Final = "/dev/nvidia-uvm"
"""The device that CUDA's driver opens when it starts, and who only asks for GPUs (NVML) does not."""


@record
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step that `arguments` (None: the command line's) name on every rank; ends as torchrun does.

    Where CUDA was started here the ranks are programs of their own, as torchrun's are.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    parsed = run.get_args_parser().parse_args(["--start-method", "fork", "-m", _MODULE, *words])
    config, command, command_words = run.config_from_args(parsed)
    if cuda_started():
        print("CUDA was started before the ranks were: each imports for itself", file=sys.stderr)
        elastic_launch(config, command)(*command_words)
    else:
        elastic_launch(config, _rank)(words)


def cuda_started() -> bool:
    """Whether CUDA was started in this process: a child forked from it could not use a GPU."""
    for number in os.listdir("/proc/self/fd"):
        # The descriptor that lists them is gone by now.
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{number}") == _DRIVER:
                return True
    child = os.fork()
    if child == 0:
        os._exit(int(torch.cuda._is_in_bad_fork()))
    return os.waitpid(child, 0)[1] != 0


def _rank(arguments: Sequence[str]) -> None:
    """What each forked process does: the step, as a program of its own would run and end."""
    # The agent's, which were for itself.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    # Seen in lists of processes, where its environment is still that of the process it was forked from.
    torch.multiprocessing._set_thread_name(f"rank {os.environ['RANK']}")
    try:
        code = launch.main(arguments)
    finally:
        # multiprocessing leaves out what trackers do at an interpreter's end.
        atexit._run_exitfuncs()
    if code != 0:
        sys.exit(code)


if __name__ == "__main__":
    main()
