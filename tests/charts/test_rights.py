"""The operator's rights are what it does: every request of whole runs is granted, and nothing is granted beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charts.helm import NAMESPACE, RELEASE, Helm
from charts.rights import Right, allows, granted, used
from control.bench import Bench, bench, run_manifest, small_manifest
from control.kueue import Kueue, reserving
from selfreward.cluster.kubernetes import KubernetesClient
from selfreward.control.election import Election
from selfreward.control.settings import Settings

ACCOUNT = f"{RELEASE}-selfreward"
WATCHED = ("default", "research")
TRANSIENT: dict[str, Any] = {"ttlSecondsAfterFinished": 30, "deletionPolicy": {"artifacts": "Delete"}}
"""Gone soon after its end, by the operator's own hand, with all that it made."""
NOT_SEEN_HERE = {
    ("delete", "pods"): "pods that outlived their Job",
    ("list", "events"): "why a child has had no pod for ten seconds",
    ("update", "selfrewardruns/finalizers.selfreward.dev"): "asked for by an admission plugin of the API server",
}


async def until_gone(made: Bench, manifest: dict[str, Any]) -> set[Right]:
    """An operator that wins the Lease, takes a run to its end and beyond, and gives the Lease back; what it used."""
    run = manifest["metadata"]
    election = Election(KubernetesClient(made.cluster.client()), NAMESPACE, ACCOUNT, "one", made.cluster.clock.now)
    await election.win()
    made.cluster.create(manifest)
    made.start()
    await made.cluster.until(lambda: made.cluster.get("SelfRewardRun", run["name"], run["namespace"]) is None, 7200)
    await election.resign()
    await made.kill()
    return used(made.cluster.requests)


async def everywhere_with_pytorchjobs(folder: Path) -> set[Right]:
    async with bench(folder, namespaces=(*WATCHED, NAMESPACE), absent=("TrainJob", "TrainingRuntime")) as made:
        manifest = run_manifest(folder, **TRANSIENT, serving={"deviceClassName": "gpu.example.com"}, workloads={})
        Kueue(made).install()
        manifest["metadata"]["namespace"] = "default"
        return await until_gone(made, reserving(manifest))


async def in_two_namespaces_with_trainjobs(folder: Path) -> set[Right]:
    async with bench(folder, namespaces=(*WATCHED, NAMESPACE), absent=("PyTorchJob",)) as made:
        made.settings = Settings(workers=4, namespaces=WATCHED)
        manifest = small_manifest(folder, **TRANSIENT)
        manifest["metadata"]["namespace"] = "research"
        return await until_gone(made, manifest)


async def test_the_operator_may_do_what_it_does_and_no_more(helm: Helm, tmp_path: Path) -> None:
    given: set[tuple[str, str]] = set()
    done: set[tuple[str, str]] = set()
    for live, values in (
        (everywhere_with_pytorchjobs, {}),
        (in_two_namespaces_with_trainjobs, {"watchNamespaces": list(WATCHED)}),
    ):
        rights = granted(helm.render(values), ACCOUNT)
        needed = await live(tmp_path)
        assert [str(right) for right in sorted(needed) if not allows(rights, right)] == [], live.__name__
        given |= {(right.verb, right.resource) for right in rights}
        done |= {(right.verb, right.resource) for right in needed}
    assert given - done == set(NOT_SEEN_HERE), "granted and neither used nor explained, or explained and used"


def test_some_namespaces_give_no_right_in_others(helm: Helm) -> None:
    rights = granted(helm.render({"watchNamespaces": list(WATCHED)}), ACCOUNT)
    assert {right.namespace for right in rights} == {*WATCHED, NAMESPACE}
    assert {right.resource for right in rights if right.namespace == NAMESPACE} == {"leases.coordination.k8s.io"}


def test_without_rights_on_the_cluster_nothing_is_asked_of_it(helm: Helm) -> None:
    values = {"watchNamespaces": [NAMESPACE], "crds": {"enabled": False}, "rbac": {"aggregate": False}}
    assert {each["metadata"].get("namespace") for each in helm.render(values)} == {NAMESPACE}


def test_secrets_are_never_read(helm: Helm) -> None:
    """A patch or an update would be answered with the whole object."""
    rights = granted(helm.render(), ACCOUNT)
    assert {right.verb for right in rights if right.resource == "secrets"} == {"create"}
