"""What an answer of the API server stands for."""

from __future__ import annotations

import pytest
from selfreward.cluster.kubernetes import Conflict, KubernetesError, NotFound, Refused, Unavailable
from selfreward.cluster.kubernetes.errors import error_of

UNKNOWN_FIELD = (
    "PATCH /apis/trainer.kubeflow.org/v1alpha1/namespaces/a/trainingruntimes/b: failed to create typed patch object "
    "(a/b; trainer.kubeflow.org/v1alpha1, Kind=TrainingRuntime): .spec.x: field not declared in schema"
)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (404, "", NotFound),
        (409, "", Conflict),
        (401, "", Unavailable),
        (429, "", Unavailable),
        (500, "etcdserver: leader changed", Unavailable),
        (503, "", Unavailable),
        (403, "exceeded quota", Refused),
        (422, "", Refused),
        # Seen with Trainer 2.3: a run waited without a word, since only what is refused makes it Stalled.
        (500, UNKNOWN_FIELD, Refused),
    ],
)
def test_an_answer_is_what_the_loop_acts_on(code: int, message: str, kind: type[KubernetesError]) -> None:
    error = error_of(code, "", message, 0)
    assert type(error) is kind
    assert error.code == code
