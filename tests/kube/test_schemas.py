"""Our CRD at work in the API server: pruning, defaults, validation with causes, CEL with transition rules."""

from __future__ import annotations

from typing import Any

import pytest

from kube.calls import MERGE, RUNS, Serve, run_manifest
from kube.schemas import Validator, apply_defaults, prune


async def test_unknown_fields_are_pruned_with_a_warning(server: Serve) -> None:
    async with server() as call:
        answer = await call("POST", RUNS, run_manifest(iteratoins=5))
        strict = await call("POST", RUNS, run_manifest("other", iteratoins=5), fieldValidation="Strict")
    assert answer.code == 201
    assert "iteratoins" not in answer.body["spec"]
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.iteratoins\\""'
    assert strict.code == 400


async def test_defaults_are_filled_in(server: Serve) -> None:
    async with server() as call:
        body = (await call("POST", RUNS, run_manifest())).body
        read = (await call("GET", f"{RUNS}/demo")).body
    assert body["spec"]["iterations"] == 2
    assert body["spec"]["judge"]["model"] == "self"
    assert body["status"]["observedGeneration"] == -1
    assert read == body


async def test_null_means_absent(server: Serve) -> None:
    async with server() as call:
        body = (await call("POST", RUNS, run_manifest(iterations=None))).body
    assert body["spec"]["iterations"] == 2


UNCHECKED = "<nil>"
"""The field of a cause that says that no CEL rule was evaluated."""
INVALID: list[tuple[str, dict[str, Any], str, str]] = [
    ("type", {"iterations": "three"}, "spec.iterations", "FieldValueTypeInvalid"),
    ("bound", {"iterations": 0}, "spec.iterations", "FieldValueInvalid"),
    ("enum", {"eft": {"mode": "magic"}}, "spec.eft.mode", "FieldValueNotSupported"),
    ("pattern", {"model": {"uri": "ftp://x"}}, "spec.model.uri", "FieldValueInvalid"),
    ("required", {"model": {}}, "spec.model.uri", "FieldValueRequired"),
    ("cel", {"model": {"uri": "file:///m", "revision": "main"}}, "spec.model.revision", "FieldValueInvalid"),
    ("cel across fields", {"prompts": {"generator": "file"}}, "spec.prompts.source", "FieldValueInvalid"),
]


@pytest.mark.parametrize(("spec", "field", "reason"), [pytest.param(*case[1:], id=case[0]) for case in INVALID])
async def test_an_invalid_spec_names_its_field(server: Serve, spec: dict[str, Any], field: str, reason: str) -> None:
    async with server() as call:
        answer = await call("POST", RUNS, run_manifest(**spec))
        assert await call.get("SelfRewardRun", "demo") is None
    assert (answer.code, answer.reason) == (422, "Invalid")
    # Where a type or a value is not what the schema has, rules that rely on it are left out.
    is_blocked = reason not in ("FieldValueInvalid",)
    assert answer.causes == [field, *([UNCHECKED] if is_blocked else [])]
    assert answer.body["details"]["causes"][0]["reason"] == reason
    assert answer.message.startswith('SelfRewardRun.selfreward.dev "demo" is invalid: ')


async def test_a_spec_is_required(server: Serve) -> None:
    async with server() as call:
        nothing = await call("POST", RUNS, {key: value for key, value in run_manifest().items() if key != "spec"})
        nobody = await call("POST", RUNS, {"metadata": {"name": "demo"}})
    assert (nothing.code, nothing.causes) == (422, ["spec", UNCHECKED])
    assert (nobody.code, nobody.message[:35]) == (400, "the object provided is unrecognized")


async def test_bounds_do_not_keep_rules_from_being_checked(server: Serve) -> None:
    async with server() as call:
        answer = await call("POST", RUNS, run_manifest(iterations=0, prompts={"generator": "file"}))
    assert answer.causes == ["spec.iterations", "spec.prompts.source"]


TRANSITIONS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("another model", {"model": {"uri": "hf://owner/other"}}, ["spec.model"]),
    ("fewer iterations", {"iterations": 1}, ["spec.iterations"]),
    ("more iterations", {"iterations": 5}, []),
    ("suspend", {"suspend": True}, []),
]


@pytest.mark.parametrize(("spec", "fields"), [pytest.param(*case[1:], id=case[0]) for case in TRANSITIONS])
async def test_transition_rules_hold_once_started(server: Serve, spec: dict[str, Any], fields: list[str]) -> None:
    async with server() as call:
        await call.create(run_manifest())
        started = {"status": {"startedAt": "2026-01-01T00:00:00Z", "model": "m0"}}
        assert (await call("PATCH", f"{RUNS}/demo/status", started, MERGE)).code == 200
        answer = await call("PATCH", f"{RUNS}/demo", {"spec": spec}, MERGE)
    assert answer.code == (422 if fields else 200)
    assert (answer.causes if fields else []) == fields


async def test_before_the_start_the_model_may_change(server: Serve) -> None:
    async with server() as call:
        await call.create(run_manifest())
        answer = await call("PATCH", f"{RUNS}/demo", {"spec": {"model": {"uri": "hf://owner/other"}}}, MERGE)
    assert answer.code == 200


async def test_a_status_is_validated_too(server: Serve) -> None:
    async with server() as call:
        await call.create(run_manifest())
        wrong = await call("PATCH", f"{RUNS}/demo/status", {"status": {"phase": "Wandering"}}, MERGE)
        time = await call("PATCH", f"{RUNS}/demo/status", {"status": {"startedAt": "yesterday"}}, MERGE)
        unknown = await call("PATCH", f"{RUNS}/demo/status", {"status": {"mood": "good"}}, MERGE)
    assert (wrong.code, wrong.causes) == (422, ["status.phase", UNCHECKED])
    assert (time.code, time.causes) == (422, ["status.startedAt", UNCHECKED])
    assert unknown.code == 200
    assert "mood" not in unknown.body["status"]


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}},
        "nullable": {"type": "string", "nullable": True, "default": "y"},
    },
}
PRUNED: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("open", {"open": {"any": 1}}, {"open": {"any": 1}}, []),
    ("map", {"map": {"k": {"a": "1", "b": "2"}}}, {"map": {"k": {"a": "1"}}}, ["map.k.b"]),
    ("list", {"list": [{"b": 1}]}, {"list": [{}]}, ["list[0].b"]),
    ("top", {"other": 1, "metadata": {"any": 1}}, {"metadata": {"any": 1}}, ["other"]),
]


@pytest.mark.parametrize(("item", "kept", "removed"), [pytest.param(*case[1:], id=case[0]) for case in PRUNED])
def test_pruning(item: dict[str, Any], kept: dict[str, Any], removed: list[str]) -> None:
    assert prune(item, SCHEMA) == removed
    assert item == kept


def test_defaults_reach_into_lists_and_spare_nullable_nulls() -> None:
    item: dict[str, Any] = {"list": [{}, {"a": None}], "nullable": None}
    apply_defaults(item, SCHEMA)
    assert item == {"list": [{"a": "x"}, {"a": "x"}], "nullable": None}
    assert Validator(SCHEMA).causes(item, None) == []
