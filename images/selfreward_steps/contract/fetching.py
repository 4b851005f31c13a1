"""The configuration of a server's init container (which model to put where), and the variables of a pod's places."""

from __future__ import annotations

from selfreward_steps.contract.base import ContractModel
from selfreward_steps.contract.configs import StoreConfig

FETCH_VARIABLE = "SELFREWARD_FETCH"
"""Environment variable that holds the :class:`FetchConfig` as JSON."""
MODEL_DIR_VARIABLE = "SELFREWARD_MODEL_DIR"
"""Environment variable with the folder that the server loads the model from."""
MODEL_NAME_VARIABLE = "SELFREWARD_MODEL_NAME"
"""Environment variable with the name the server answers to."""
HOST_VARIABLE = "SELFREWARD_HOST"
"""Environment variable with the address the server listens on."""
PORT_VARIABLE = "SELFREWARD_PORT"
"""Environment variable with the port the server listens on."""
SCRATCH_VARIABLE = "SELFREWARD_SCRATCH"
"""Environment variable with the folder for work that is thrown away."""


class FetchConfig(ContractModel):
    """One model artifact to bring to `$SELFREWARD_MODEL_DIR`."""

    store: StoreConfig
    artifact: str
    """Its name in the store, such as `m1`."""
    digest: str | None = None
    """The committed digest it must have."""
