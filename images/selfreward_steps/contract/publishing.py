"""The settings of publishing: what of a run goes to a hub, and where to."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from selfreward_steps.contract.base import ContractModel
from selfreward_steps.contract.sources import SecretKeyRef

PUBLISHED: Final = "published.json"
"""The file that a push leaves in the store: the repositories, and the commit in each."""


class Publishing(ContractModel):
    """A push of every model, and of the preference pairs it learnt from, to a Hugging Face hub."""

    repository: Annotated[str, Field(max_length=80, pattern=r"^[A-Za-z0-9][-A-Za-z0-9._]*/[A-Za-z0-9][-A-Za-z0-9._]*$")]
    """`OWNER/NAME`: M2 goes to the model repository `OWNER/NAME-m2`, pairs to the dataset repository
    `OWNER/NAME-pairs`. What is not there is made."""
    token_secret_ref: SecretKeyRef
    """Secret with a token that may write there."""
    models: bool = True
    """M1, where it is trained, and every model after it, once it is evaluated and no gate holds the run."""
    pairs: bool = True
    """The preference pairs of each iteration, with the model that learnt from them."""
    private: bool = True
    """Repositories that nobody else sees. One that is there and public is refused; `false` makes new ones public."""
