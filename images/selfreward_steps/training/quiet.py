"""The libraries' own output in a training: none but warnings, since standard output is for progress lines."""

from __future__ import annotations

import datasets
import transformers


def quieten() -> None:
    """Switch progress bars off; libraries keep to warnings on standard error."""
    datasets.disable_progress_bars()
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
