"""The resource as a whole, as `kubectl get -o json` gives it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from selfreward_steps.contract import ContractModel

from selfreward.api.spec import SelfRewardRunSpec
from selfreward.api.status import RunStatus

GROUP = "selfreward.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "SelfRewardRun"
PLURAL = "selfrewardruns"


class ObjectMeta(BaseModel):
    """The part of Kubernetes' metadata that the control plane reads; the rest is ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
    namespace: str = "default"
    uid: str = ""
    generation: int = 1
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class SelfRewardRun(ContractModel):
    """One run: the user's spec and the operator's status."""

    api_version: Literal["selfreward.dev/v1alpha1"] = "selfreward.dev/v1alpha1"
    kind: Literal["SelfRewardRun"] = "SelfRewardRun"
    metadata: ObjectMeta
    spec: SelfRewardRunSpec
    status: RunStatus = RunStatus()
