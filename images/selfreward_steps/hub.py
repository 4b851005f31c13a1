"""The Hugging Face hub's client, as the steps that use it need it. It must not load it."""

from __future__ import annotations

import os
from pathlib import Path


def prepare_hub(scratch: Path) -> None:
    """Settings that the hub's libraries read when they are imported, which is later.

    Progress is told in our own lines; their bars would only fill the log. Their cache goes to scratch, since a pod's
    home may be read-only.
    """
    os.environ.setdefault("HF_HOME", str(scratch / "hf"))
    for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ.setdefault(name, "1")


def broken_connections() -> tuple[type[Exception], ...]:
    """What the client raises where the hub is not reached, or a connection to it breaks."""
    from huggingface_hub import errors

    # That of its HTTP library, whichever it is.
    transport: type[Exception] = errors.HfHubHTTPError.__mro__[1]
    return (transport, ConnectionError, TimeoutError)
