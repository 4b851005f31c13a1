"""An estimate of a run before a GPU is spent: calls, tokens, time, memory and disk of each step of its graph.

Pure: from the spec, the model's shape, the hardware and what is assumed of lengths, by a model of a handful of
parameters that was fitted to measurements (:mod:`selfreward.estimate.parameters`).
"""

from selfreward_steps.contract import ModelShape

from selfreward.estimate.assumptions import Assumptions, Seeds
from selfreward.estimate.hardware import GPUS, Gpu, Hardware
from selfreward.estimate.parameters import Parameters, fitted
from selfreward.estimate.run import RunEstimate, StepEstimate, estimate_run

__all__ = [
    "GPUS",
    "Assumptions",
    "Gpu",
    "Hardware",
    "ModelShape",
    "Parameters",
    "RunEstimate",
    "Seeds",
    "StepEstimate",
    "estimate_run",
    "fitted",
]
