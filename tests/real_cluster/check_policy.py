"""The chart's admission policy on a real API server: each case ends as the in-process evaluation of it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from charts.helm import Helm, of_kind
from charts.policies import VALUES, kind_cases

from real_cluster.api import Api, ApiError, Object, until
from real_cluster.check_cel_rules import manifest
from real_cluster.ground import Ground
from real_cluster.operators import Operators

NAMESPACE = "selfreward-suite-policed"
KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
FIELDS: dict[str, dict[str, Any]] = {
    "model.tokenSecretRef.name": {"model": {"uri": "hf://a/b", "tokenSecretRef": {"name": "others"}}},
    "storage.secret": {"storage": {"uri": "s3://bucket/runs", "secret": "others"}},
    "serving.apiKeySecretRef.name": {"serving": {"apiKeySecretRef": {"name": "others"}}},
    "training.trackerSecret": {"training": {"reportTo": ["wandb"], "trackerSecret": "others"}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def policed(
    api: Api, ground: Ground, operators: Operators, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[None]:
    """A namespace for which the policy holds; a run that it would refuse is there already."""
    await ground.open(NAMESPACE)
    await api.create(within("before", {"workloads": {"serving": {"image": "python"}}}))
    selector = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    rendered = Helm(Path(tmp_path_factory.mktemp("policy"))).render(
        {"admissionPolicy": {**VALUES, "namespaceSelector": selector}}
    )
    made = [each for kind in KINDS for each in of_kind(rendered, kind)]
    try:
        for each in made:
            await api.apply(each)
        refused = within("first", {"workloads": {"serving": {"image": "python"}}})
        await until(lambda: is_refused(api, refused), "the policy is enforced", 60)
        yield
    finally:
        for each in reversed(made):
            await api.delete(each["kind"], None, each["metadata"]["name"])


def within(name: str, spec: Object) -> Object:
    """A run of the namespace that nobody walks."""
    return manifest(name, **spec) | {"metadata": {**manifest(name)["metadata"], "namespace": NAMESPACE}}


async def is_refused(api: Api, run: Object) -> bool:
    return bool(await refusal(api, run))


async def refusal(api: Api, run: Object) -> str:
    """What the policy says against creating the run; any other refusal is the caller's."""
    try:
        await api.create(run, dry_run=True)
    except ApiError as error:
        if "ValidatingAdmissionPolicy" not in str(error):
            raise
        return str(error)
    return ""


@pytest.mark.parametrize(("run", "field"), [pytest.param(run, field, id=name) for name, run, field in kind_cases()])
async def test_what_a_workload_brings(api: Api, policed: None, run: Object, field: str) -> None:
    said = await refusal(api, within("case", {"workloads": run["spec"]["workloads"]}))
    assert (f"{field}: " in said) if field else said == ""


@pytest.mark.parametrize("field", FIELDS)
async def test_a_field_that_names_anothers_secret(api: Api, policed: None, field: str) -> None:
    assert f"spec.{field}: a Secret that runs may not use" in await refusal(api, within("case", FIELDS[field]))


async def test_a_run_that_was_there_before_goes_and_cannot_get_worse(api: Api, policed: None) -> None:
    await api.merge("SelfRewardRun", NAMESPACE, "before", {"metadata": {"labels": {"team": "a"}}})
    await api.merge("SelfRewardRun", NAMESPACE, "before", {"spec": {"suspend": True}})
    worse = {"workloads": {"training": {"image": "python"}}}
    with pytest.raises(ApiError, match="an image that runs may not use"):
        await api.merge("SelfRewardRun", NAMESPACE, "before", {"spec": worse})
    await api.delete("SelfRewardRun", NAMESPACE, "before")

    async def is_gone() -> bool:
        return await api.get("SelfRewardRun", NAMESPACE, "before") is None

    await until(is_gone, "the run is gone", 60)
