"""The container images and workload settings of a step's pods."""

from __future__ import annotations

from dataclasses import dataclass

from selfreward_steps.contract import StepName

from selfreward.api import Workload, Workloads


@dataclass(frozen=True, slots=True)
class Images:
    """The operator's default images; the chart sets them, pinned by digest."""

    generator: str = "selfreward/generator:0.1.0"
    """The inference server. Any image with vLLM will do: the model is fetched by an init container."""
    judge: str = "selfreward/judge:0.1.0"
    """The steps without torch: clients of the server, pairs, and the fetching of models."""
    trainer: str = "selfreward/trainer:0.1.0"
    """The steps with torch: import, which converts weights, SFT and DPO; and publish, which pushes to a hub."""

    def of_step(self, step: StepName) -> str:
        """The image of a step's pods, where the resource names none."""
        match step:
            case StepName.IMPORT | StepName.SFT_BASELINE | StepName.SFT | StepName.DPO | StepName.PUBLISH:
                return self.trainer
            case (
                StepName.EFT
                | StepName.PROMPTS
                | StepName.RESPOND
                | StepName.JUDGE
                | StepName.PAIRS
                | StepName.SELECT
                | StepName.EVALUATE
            ):
                return self.judge


def workload_name(step: StepName) -> str:
    """The field of `spec.workloads` that is about a step's pods."""
    match step:
        case StepName.IMPORT | StepName.PAIRS | StepName.PUBLISH:
            return "processing"
        case StepName.SFT_BASELINE | StepName.SFT | StepName.DPO:
            return "training"
        case StepName.EFT | StepName.PROMPTS | StepName.RESPOND | StepName.JUDGE | StepName.SELECT | StepName.EVALUATE:
            return "generation"


def workload_of(step: StepName, workloads: Workloads) -> Workload:
    """The user's resources and placement for a step's pods."""
    found: Workload = getattr(workloads, workload_name(step))
    return found
