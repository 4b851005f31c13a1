"""The command line of a training container, the same for every backend."""

from __future__ import annotations

from selfreward_steps.contract import StepName

from selfreward.api import Training


def launch_command(training: Training, step: StepName) -> list[str]:
    """One process needs no torchrun; more are started by it, with the shape read from the PET_* variables."""
    module = ["-m", "selfreward_steps", step.value]
    if training.nodes * training.processes_per_node == 1:
        return ["python3", *module]
    return ["python3", "-m", "torch.distributed.run", *module]
