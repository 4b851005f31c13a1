"""The error family: exit codes, one line each, and whole after a trip between processes."""

import pickle

import pytest
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError, StepFailed


@pytest.mark.parametrize(
    ("kind", "code"), [(PermanentError, 64), (InfrastructureError, 69), (StepFailed, 1)], ids=lambda v: str(v)
)
def test_an_error_says_who_must_act(kind: type[StepError], code: int) -> None:
    error = kind("DiskFull", "/data:\n  no space", {"pairs": 0.0})
    assert (error.exit_code, error.reason, str(error)) == (code, "DiskFull", "/data: no space")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.reason, str(copy), copy.metrics) == (kind, error.reason, str(error), {"pairs": 0.0})
