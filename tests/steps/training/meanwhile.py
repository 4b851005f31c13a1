"""A training step in which export and measuring the reference each wait for the other to have begun."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Barrier
from typing import Any

from forked import run_step


def run_side_by_side(step: str, environment: Mapping[str, str], output: str, errors: str) -> None:
    """Run a step as :func:`run_step` does; it fails where one of the two is done before the other."""
    from selfreward_steps.training import rewards, session

    both = Barrier(2, timeout=60)
    write, measure = session.write_model, rewards.reference_log_probabilities
    waited: list[bool] = []

    def written(*arguments: Any, **named: Any) -> Any:
        both.wait()
        return write(*arguments, **named)

    def measured(*arguments: Any) -> Any:
        if not waited:
            waited.append(True)
            both.wait()
        return measure(*arguments)

    session.write_model = written
    rewards.reference_log_probabilities = measured
    run_step(step, environment, output, errors)
