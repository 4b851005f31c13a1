"""The servers that steps ask."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from selfreward_steps.contract.base import ContractModel

OWN_SERVER: Final = "serving"
"""The field of the run's own servers."""


class ServingEndpoint(ContractModel):
    """An OpenAI-compatible server."""

    url: str
    """Base URL with `/v1`."""
    model: str
    """Model name to ask for."""
    api_key_variable: str | None = None
    """Environment variable with the API key."""
    concurrency: Annotated[int, Field(ge=1)] | None = None
    """Requests kept in flight; absent: as many as the server runs without queueing, where it says so, 64 elsewhere."""
    request_timeout_seconds: Annotated[float, Field(gt=0)] = 600
    """A request that takes longer is tried again."""
    field: str = OWN_SERVER
    """The spec's field to name when it fails: `judge.endpoint` is the user's own to mend."""
