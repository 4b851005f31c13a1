"""What stands between a request's body and the store: unknown fields, defaults, validation, immutability, webhooks.

For SelfRewardRun everything comes from its CRD; for built-in kinds from the client's models and, in `rules`, from
the few checks that our manifests could break.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from kube import errors, rules
from kube.cel_rules import cel_causes
from kube.defaults import default_causes
from kube.errors import Cause
from kube.kinds import BY_NAME, Kind
from kube.schemas import Schema, Validator, apply_defaults, prune
from kube.storage import Object, packed
from kube.typed import model_of, prune_typed, typed_causes

Warn = Callable[[str], None]

_BLOCKING: Final = frozenset({"FieldValueNotSupported", "FieldValueRequired", "FieldValueTypeInvalid"})
_UNCHECKED: Final = Cause(
    "<nil>",
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)
MAX_BYTES = 1_572_864
"""etcd's default limit of one request (1.5 MiB)."""


class Admission:
    """Admits objects, or raises ApiError."""

    namespaces = BY_NAME["Namespace"]

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        """OpenAPI schema of each CRD, by resource name."""
        self._validators: dict[str, Validator] = {}
        self.training_operator_down = False

    def learn(self, definition: Mapping[str, Any]) -> None:
        """Take the schema of a CustomResourceDefinition's stored version."""
        (version,) = (each for each in definition["spec"]["versions"] if each["storage"])
        text = json.dumps(version["schema"]["openAPIV3Schema"])
        self._validators[definition["metadata"]["name"]] = _validator(text)
        self.schemas[definition["metadata"]["name"]] = _schema(text)

    def prune(self, kind: Kind, item: Object, same: frozenset[str] = frozenset()) -> list[str]:
        """Remove unknown fields in place; returns their paths. `same` fields of `item` were pruned before."""
        schema, model = self.schemas.get(kind.resource), model_of(kind)
        if schema is not None:
            return prune(item, schema, same)
        return prune_typed(item, model, same) if model is not None else []

    def admit(self, kind: Kind, item: Object, old: Object | None, warn: Warn) -> None:
        """Prune, default and validate in place; `old` is what is stored, None on create."""
        same = frozenset(key for key, value in item.items() if old is not None and key in old and old[key] == value)
        for path in self.prune(kind, item, same):
            warn(f'unknown field "{path}"')
        schema = self.schemas.get(kind.resource)
        if schema is not None:
            apply_defaults(item, schema, same)
        rules.apply_defaults(kind, item)
        self._validate(kind, item, old, schema)
        self._call_webhook(kind, item)
        if _may_be_large(item) and len(json.dumps(item)) > MAX_BYTES:
            raise errors.ApiError(500, "", "etcdserver: request is too large")

    def _validate(self, kind: Kind, item: Object, old: Object | None, schema: Schema | None) -> None:
        causes: list[Cause] = []
        model = model_of(kind)
        if schema is not None:
            causes = self._validators[kind.resource].causes(item, old)
            # A rule may rely on the types that the schema declares; bounds and patterns it does not wait for.
            is_blocked = any(cause.reason in _BLOCKING for cause in causes)
            causes += [_UNCHECKED] if is_blocked else cel_causes(item, schema, old)
        elif model is not None:
            causes = typed_causes(item, model, old)
        causes = causes or list(rules.causes(kind, item, old))
        if causes:
            raise errors.invalid(kind, item["metadata"].get("name", ""), causes)

    def _call_webhook(self, kind: Kind, item: Object) -> None:
        if kind.kind not in ("PyTorchJob", "TrainJob"):
            return
        name = f"validator.{kind.kind.lower()}.training-operator.kubeflow.org"
        if self.training_operator_down:
            # failurePolicy Fail (training-operator v1.9.4)
            raise errors.internal(f'failed calling webhook "{name}": connect: connection refused')
        refusal = rules.webhook_refusal(kind, item)
        if refusal is not None:
            raise errors.forbidden(f'admission webhook "{name}" denied the request: {refusal}')


def _may_be_large(item: Object) -> bool:
    """Whether an object could be over the limit as JSON, which writes a byte in six at most (as `\\u0000`)."""
    return len(packed(item)) * 6 > MAX_BYTES


@functools.cache
def _schema(text: str) -> Schema:
    """A schema from its JSON, the same object each time: every cluster of a test run has the same CRD."""
    loaded: Schema = json.loads(text)
    return loaded


@functools.cache
def _validator(text: str) -> Validator:
    wrong = list(default_causes(_schema(text)))
    if wrong:
        raise errors.invalid(BY_NAME["CustomResourceDefinition"], "", wrong)
    return Validator(_schema(text))
