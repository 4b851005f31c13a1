"""A CRD's defaults, held against its own schema and rules, as the API server does before it takes the CRD.

Each default is looked at as it stands: nothing is filled in from the defaults below it. Source:
apiextensions-apiserver, `pkg/apiserver/schema/defaulting/validation.go`, whose 1.36 refused our CRD for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kube.cel_rules import broken_rules
from kube.errors import Cause
from kube.schemas import Schema, Validator


def default_causes(schema: Schema, path: str = "") -> Iterator[Cause]:
    """Everything that is wrong with a default somewhere in `schema`."""
    if "default" in schema:
        value = schema["default"]
        wrong = Validator({"properties": {"default": schema}}).causes({"default": value}, None)
        yield from (
            Cause(f"{path}.default", cause.reason, cause.message) for cause in wrong or broken_rules(value, schema)
        )
    for name, below in schema.get("properties", {}).items():
        yield from default_causes(below, f"{path}.properties[{name}]")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from default_causes(schema[key], f"{path}.{key}")
