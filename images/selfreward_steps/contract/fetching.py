"""Which model a server gets: its init container's configuration, the exchange of it, the variables of its places."""

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
SERVING_KEY = "VLLM_API_KEY"
"""Environment variable with the key of a run's servers: vLLM asks for it, the clients give it."""
LENT = ".lent"
"""Folder beside a model's own with what the server's processes import of ours, for an image that has nothing of it."""
ENGINES_VARIABLE = "SELFREWARD_ENGINES_PER_SERVER"
"""Environment variable with the number of a server's engines that share its GPUs."""
EXCHANGE_PATH = "/selfreward/model"
"""Where a kept server is told which model to serve (:class:`ModelExchange`)."""
VERIFIED = ".verified.json"
"""File in a model's folder that says what its files were when they were verified."""
SCRATCH_VARIABLE = "SELFREWARD_SCRATCH"
"""Environment variable with the folder for work that is thrown away."""


class FetchConfig(ContractModel):
    """One model artifact to bring to `$SELFREWARD_MODEL_DIR`."""

    store: StoreConfig
    artifact: str
    """Its name in the store, such as `m1`."""
    digest: str | None = None
    """The committed digest it must have."""
    lends: bool | None = None
    """Whether the server's processes import something of ours, which is then laid beside it."""


class ModelExchange(ContractModel):
    """What a kept server is to serve from now on."""

    model: str | None
    """The model's name; None: nothing, and it sleeps."""
    folder: str | None = None
    """Where its files are; where the last model's are, when that is woken."""
    digest: str | None = None
    """The committed digest of the model."""
