"""The CustomResourceDefinition, generated from the models.

`python -m selfreward.api.crd` prints it, with `--chart` as a template of the Helm chart; `make generate` writes both.
It must not know a field by name: what a field means stands in its model, what fields mean together in
:mod:`selfreward.api.rules`.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from selfreward.api.rules import RULES, Rule
from selfreward.api.run import GROUP, KIND, PLURAL, VERSION, ObjectMeta
from selfreward.api.spec import SelfRewardRunSpec
from selfreward.api.status import RunStatus

COLUMNS: tuple[tuple[str, str, str, int], ...] = (
    ("Phase", "string", ".status.phase", 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0),
    ("Iteration", "integer", ".status.iteration", 0),
    ("Step", "string", ".status.step", 0),
    ("Progress", "string", ".status.progress", 0),
    ("Pairs", "integer", ".status.pairs", 0),
    ("Judge-Acc", "string", ".status.judgeAccuracy", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Message", "string", '.status.conditions[?(@.type=="Ready")].message', 1),
    ("Model", "string", ".status.model", 1),
    ("Base", "string", ".spec.model.uri", 1),
    ("Suspended", "boolean", ".spec.suspend", 1),
    ("Artifacts", "string", ".status.artifacts", 1),
)
"""Printer columns: name, type, path, priority (1 is shown with `-o wide`)."""

_KEPT = ("type", "format", "description", "pattern", "minLength", "maxLength", "minItems", "maxItems", "enum")
_EITHER = "x-kubernetes-int-or-string"


def custom_resource_definition() -> dict[str, Any]:
    """The CRD as a manifest."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _resource_schema()},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path} | ({"priority": priority} if priority else {})
            for name, kind, path, priority in COLUMNS
        ],
        "selectableFields": [{"jsonPath": ".status.phase"}, {"jsonPath": ".spec.model.uri"}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["srr"],
                "categories": ["all", "selfreward"],
            },
            "versions": [version],
        },
    }


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON schema as Kubernetes takes it: no `$ref`, no null, boolean exclusive bounds, no titles."""
    schema = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Described)
    return _structural(schema, schema.get("$defs", {}))


class _Described(GenerateJsonSchema):
    """Fields described by the strings behind them. Pydantic can do so itself, by parsing the source of every model
    at every import: a sixth of what it takes to import :mod:`selfreward.plan`."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        words = {name: text for each in reversed(model.__mro__) for name, text in _attribute_docstrings(each).items()}
        for name, field in model.model_fields.items():
            if name in words:
                described["properties"][field.alias or name].setdefault("description", words[name])
        return described


def _attribute_docstrings(model: type) -> dict[str, str]:
    """The string behind each annotated attribute in the body of a class."""
    if not issubclass(model, BaseModel) or model is BaseModel:
        return {}
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    return {
        field.target.id: inspect.cleandoc(words.value.value)
        for field, words in pairwise(getattr(body, "body", []))
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(words, ast.Expr) and isinstance(words.value, ast.Constant) and isinstance(words.value.value, str)
    }


def _resource_schema() -> dict[str, Any]:
    status = structural_schema(RunStatus)
    # kstatus takes a resource without status for ready; -1 never equals a generation, so it reads as in progress.
    status["default"] = {"observedGeneration": -1}
    schema: dict[str, Any] = {
        "type": "object",
        "description": "A run of Self-Rewarding Language Models (arXiv 2401.10020), from a base model to the last one.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # Of metadata, a schema may say something of these names alone.
            "metadata": {"type": "object", "properties": {"name": structural_schema(ObjectMeta)["properties"]["name"]}},
            "spec": structural_schema(SelfRewardRunSpec),
            "status": status,
        },
    }
    for rule in RULES:
        _attach(schema, rule)
    return schema


def _attach(schema: dict[str, Any], rule: Rule) -> None:
    target = schema
    for part in rule.path.split(".") if rule.path else []:
        target = target["properties"][part]
    validation = {"rule": rule.expression, "message": f"{rule.field}: {rule.message}" if rule.field else rule.message}
    if rule.field and "(" not in rule.field:
        validation["fieldPath"] = "." + rule.field
    target.setdefault("x-kubernetes-validations", []).append(validation)


def _structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if _EITHER in schema:
        return dict(schema)  # the one union there is, and no type beside it
    resolved = _resolve(schema, definitions)
    result: dict[str, Any] = {key: resolved[key] for key in _KEPT if key in resolved}
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    _copy_bounds(resolved, result)
    if resolved.get("default") is not None:
        result["default"] = resolved["default"]
    if "items" in resolved:
        result["items"] = _structural(resolved["items"], definitions)
    if "properties" in resolved:
        result["properties"] = {name: _structural(value, definitions) for name, value in resolved["properties"].items()}
        if resolved.get("required"):
            result["required"] = resolved["required"]
        if "default" in result:
            result["default"] = _complete(result["default"], result["properties"])
    elif resolved.get("type") == "object":
        _free_form(resolved, result, definitions)
    return result


def _resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Follow `$ref`, and take the one real type of an optional field. What stands beside the reference wins."""
    resolved = dict(schema)
    options = [option for option in resolved.pop("anyOf", []) if option.get("type") != "null"]
    if len(options) > 1:
        raise ValueError(f"not structural: {schema}")
    for inner in options:
        resolved = {**_resolve(inner, definitions), **resolved}
    if "$ref" in resolved:
        target = definitions[resolved.pop("$ref").rpartition("/")[2]]
        resolved = {**_resolve(target, definitions), **resolved}
    if "const" in resolved:
        resolved["enum"] = [resolved.pop("const")]
    return resolved


def _copy_bounds(source: Mapping[str, Any], target: dict[str, Any]) -> None:
    for bound in ("minimum", "maximum"):
        exclusive = "exclusive" + bound.capitalize()
        limit = source.get(exclusive, source.get(bound))
        if limit is not None and limit != int(limit):
            # The API server cuts such a bound to a whole number wherever the value is one: 0 is not below its 0.5.
            sign = {"minimum": ">", "maximum": "<"}[bound] + ("" if exclusive in source else "=")
            rules = target.setdefault("x-kubernetes-validations", [])
            rules.append({"rule": f"self {sign} {limit}", "message": f"must be {sign} {limit}"})
        elif exclusive in source:  # JSON Schema has a number here, OpenAPI 3.0 a flag beside the bound
            target[bound], target[exclusive] = source[exclusive], True
        elif bound in source:
            target[bound] = source[bound]


def _free_form(source: Mapping[str, Any], target: dict[str, Any], definitions: Mapping[str, Any]) -> None:
    values = source.get("additionalProperties")
    if isinstance(values, Mapping) and values:
        target["additionalProperties"] = _structural(values, definitions)
    else:
        target["x-kubernetes-preserve-unknown-fields"] = True


def _complete(value: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """A default object with its properties' own defaults filled in; null means absent.

    The API server holds every default against the schema and its CEL rules as it stands, before anything is filled
    in (apiextensions-apiserver, schema/defaulting/validation.go): `{}` breaks each rule that reads a field of it.
    """
    found = {}
    for name, schema in properties.items():
        item = value.get(name)
        if isinstance(item, dict) and "properties" in schema:
            found[name] = _complete(item, schema["properties"])
        elif item is not None:
            found[name] = item
        elif "default" in schema:
            found[name] = schema["default"]
    return found


class _WithoutAliases(yaml.SafeDumper):
    """Anchors and aliases are YAML that some tools of this field do not read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_yaml() -> str:
    """The file under `crds/`."""
    head = "# Generated by `make generate` from operator/selfreward/api. Do not edit.\n"
    return head + yaml.dump(
        custom_resource_definition(), Dumper=_WithoutAliases, sort_keys=False, width=110, allow_unicode=True
    )


_CHART_METADATA = """\
  labels: {{- include "selfreward.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def as_chart_template() -> str:
    """The file under `charts/`. A template, because Helm never upgrades what stands in a chart's `crds/`; its text is
    that of :func:`as_yaml`, so that no number goes through Helm's own reading of YAML."""
    text = as_yaml().replace("{{", '{{ "{{" }}')
    name = f"  name: {PLURAL}.{GROUP}\n"
    head, found, rest = text.partition(name)
    assert found
    return "{{- if .Values.crds.enabled }}\n" + head + name + _CHART_METADATA + rest + "{{- end }}\n"


if __name__ == "__main__":
    sys.stdout.write(as_chart_template() if sys.argv[1:] == ["--chart"] else as_yaml())
