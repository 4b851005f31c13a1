"""The generated CRD: fresh, structural, and of the same mind as the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from kube.defaults import default_causes
from pydantic import BaseModel, Field, ValidationError
from selfreward.api import RunStatus, SelfRewardRun, SelfRewardRunSpec
from selfreward.api.crd import as_chart_template, as_yaml, custom_resource_definition, structural_schema
from selfreward.api.problems import PATTERNS
from selfreward.api.reference import as_markdown

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from walk(schema[key], f"{path}[]")


def defaulted(schema: dict[str, Any], value: Any) -> Any:
    """What the API server stores: defaults filled in from the outside to the inside."""
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    filled = dict(value)
    for name, inner in schema["properties"].items():
        if name not in filled and "default" in inner:
            filled[name] = inner["default"]
        if name in filled:
            filled[name] = defaulted(inner, filled[name])
    return filled


def test_the_files_are_fresh() -> None:
    assert (ROOT / "crds/selfreward.dev_selfrewardruns.yaml").read_text() == as_yaml(), "run `make generate`"
    assert (ROOT / "charts/selfreward/templates/crd.yaml").read_text() == as_chart_template(), "run `make generate`"
    assert (ROOT / "docs/api-reference.md").read_text(encoding="utf-8") == as_markdown(), "run `make generate`"


@pytest.mark.parametrize("forbidden", ["$ref", "anyOf", "oneOf", "const", "title", "$defs", "exclusiveMinimum: 0"])
def test_the_schema_is_structural(forbidden: str) -> None:
    typed = [(path, schema) for path, schema in walk(SCHEMA) if "x-kubernetes-int-or-string" not in schema]
    assert [path for path, schema in typed if forbidden in schema] == []
    assert [path for path, schema in typed if "type" not in schema] == []


def test_either_type_is_written_as_the_api_server_asks() -> None:
    """No type beside the mark, and these two options alone (apiextensions-apiserver, schema/validation.go)."""
    either = [schema for _, schema in walk(SCHEMA) if "x-kubernetes-int-or-string" in schema]
    assert either
    assert all(schema["anyOf"] == [{"type": "integer"}, {"type": "string"}] for schema in either)
    assert not any("type" in schema for schema in either)


def test_of_metadata_only_the_name_is_restricted() -> None:
    """The API server refuses a CRD that says more."""
    assert set(SCHEMA["properties"]["metadata"]["properties"]) == {"name"}


def test_every_pattern_of_the_spec_has_words_for_the_user() -> None:
    patterns = {schema["pattern"] for _, schema in walk(SCHEMA["properties"]["spec"]) if "pattern" in schema}
    assert patterns <= set(PATTERNS)
    assert set(PATTERNS) - patterns == {SCHEMA["properties"]["metadata"]["properties"]["name"]["pattern"]}


def test_every_field_of_the_spec_is_described() -> None:
    fields = [(path, schema) for path, schema in walk(SCHEMA["properties"]["spec"], "spec") if "[]" not in path]
    assert [path for path, schema in fields if not schema.get("description")] == []


def test_defaults_of_the_api_server_are_those_of_the_models() -> None:
    short = {"model": {"uri": "hf://owner/name"}}
    expected = SelfRewardRunSpec.model_validate(short).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert defaulted(SCHEMA["properties"]["spec"], short) == expected


def test_one_field_of_a_sampling_keeps_the_other_defaults() -> None:
    spec = {"model": {"uri": "hf://a/b"}, "prompts": {"sampling": {"temperature": 1.0}}}
    stored = defaulted(SCHEMA["properties"]["spec"], spec)["prompts"]["sampling"]
    assert stored == {"temperature": 1.0, "topP": 0.9, "maxTokens": 256}
    assert SelfRewardRunSpec.model_validate(spec).prompts.sampling.max_tokens == 256


def test_a_resource_without_status_reads_as_in_progress() -> None:
    assert SCHEMA["properties"]["status"]["default"] == {"observedGeneration": -1}
    assert RunStatus().observed_generation == -1


def test_every_default_keeps_the_rules_as_it_stands() -> None:
    """The API server refuses a CRD of which one does not."""
    assert [f"{cause.field}: {cause.message}" for cause in default_causes(SCHEMA)] == []


def test_a_bound_that_is_no_whole_number_becomes_a_rule() -> None:
    """The API server would cut it to one wherever the value is a whole number."""

    class Fraction(BaseModel):
        share: Annotated[float, Field(ge=0, lt=0.5)] = 0
        least: Annotated[float, Field(ge=1.5)] = 2

    properties = structural_schema(Fraction)["properties"]
    assert [rule["rule"] for rule in properties["share"]["x-kubernetes-validations"]] == ["self < 0.5"]
    assert [rule["rule"] for rule in properties["least"]["x-kubernetes-validations"]] == ["self >= 1.5"]
    assert properties["share"]["minimum"] == 0
    assert "maximum" not in properties["share"]


def test_exclusive_bounds_become_openapi_flags() -> None:
    rate = SCHEMA["properties"]["spec"]["properties"]["training"]["properties"]["sft"]["properties"]["learningRate"]
    assert (rate["minimum"], rate["exclusiveMinimum"], rate["default"]) == (0, True, 5.5e-6)


def test_a_union_is_refused() -> None:
    class Union(BaseModel):
        value: int | str

    with pytest.raises(ValueError, match="not structural"):
        structural_schema(Union)


def test_an_unknown_field_is_an_error_in_the_models() -> None:
    with pytest.raises(ValidationError, match="iteration"):
        SelfRewardRun.model_validate(
            {"metadata": {"name": "run"}, "spec": {"model": {"uri": "hf://a/b"}, "iteration": 3}}
        )
