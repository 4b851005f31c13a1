"""Kept engines in pods: what the operator assigns to one, how its agent is configured, and what the agent answers.

The operator never connects to a pod. It writes an :class:`Assignment` into an annotation of the pod, which the kubelet
mounts as a file; the agent beside the server carries it out and prints an :class:`EngineReport`, which the operator
reads from its log.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from selfreward_steps.contract.base import ContractModel
from selfreward_steps.contract.configs import StoreConfig

AGENT_VARIABLE = "SELFREWARD_AGENT"
"""Environment variable that holds the :class:`AgentConfig` as JSON."""
MODEL_DIGEST_VARIABLE = "SELFREWARD_MODEL_DIGEST"
"""Environment variable with the committed digest of the model that a server starts with."""


class Assignment(ContractModel):
    """What an engine is to do from now on."""

    number: int
    """Grows with every assignment of a pod: an older one is void, whenever it arrives."""
    model: str | None
    """The model to serve; None: none, and the GPU is given back."""
    digest: str | None = None
    """The model's committed digest."""


class AgentConfig(ContractModel):
    """Where an engine's agent finds what it needs."""

    store: StoreConfig
    assignment: str
    """The file that holds the assignment; empty before the first."""
    models: str
    """The folder that it shares with the server."""
    server_port: int
    probe_port: int
    """Where it tells the kubelet whether the assignment is carried out."""


class EngineState(StrEnum):
    """How far an assignment is carried out."""

    CHANGING = "changing"
    SERVING = "serving"
    ASLEEP = "asleep"
    FAILED = "failed"
    """It cannot be carried out by this engine. Only a new one helps."""


class EngineReport(ContractModel):
    """One JSON line on the agent's standard output, at each change: the last one is how it stands."""

    kind: Literal["engine"] = "engine"
    number: int
    """Of the assignment that this is about."""
    state: EngineState
    message: str = ""
    """Why it failed, in one line."""
