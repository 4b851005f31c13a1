"""What follows from other files is what they say now: the chart's README, the values' schema, its annotations."""

from __future__ import annotations

from pathlib import Path

import yaml
from charts.generated import README, ROOT, SCHEMA, readme, values, values_schema
from charts.helm import CHART, Helm, only


def annotation(name: str) -> list[dict[str, str]]:
    found = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"][f"artifacthub.io/{name}"]
    listed: list[dict[str, str]] = yaml.safe_load(found)
    return listed


def test_the_readme_is_that_of_the_values() -> None:
    assert README.read_text() == readme(), "run `make generate`"


def test_the_values_schema_has_the_workload_of_the_crd() -> None:
    assert SCHEMA.read_text() == values_schema(), "run `make generate`"


def test_every_value_is_described() -> None:
    """Itself, or what it is part of."""
    told = {name for name, _, said in values() if said}
    parents = {name: [name.rsplit(".", depth)[0] for depth in range(name.count(".") + 1)] for name, _, _ in values()}
    probes = {"livenessProbe", "readinessProbe"}  # beside startupProbe
    assert {name for name, chain in parents.items() if not told & set(chain)} == probes


def test_artifact_hub_names_the_images_that_the_chart_takes(helm: Helm) -> None:
    pod = only(helm.render(), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    taken = {each.partition("=")[2] for each in pod["args"] if "-image=" in each} | {pod["image"]}
    assert {each["image"] for each in annotation("images")} == taken


def test_artifact_hub_names_the_crd() -> None:
    (told,) = annotation("crds")
    crd = yaml.load((ROOT / "crds/selfreward.dev_selfrewardruns.yaml").read_text(), Loader=yaml.CSafeLoader)
    assert (told["name"], told["kind"]) == (crd["metadata"]["name"], crd["spec"]["names"]["kind"])
    assert told["version"] == crd["spec"]["versions"][0]["name"]


def test_artifact_hub_knows_the_kinds_of_change() -> None:
    known = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    assert {each["kind"] for each in annotation("changes")} <= known


def test_the_license_is_that_of_the_project() -> None:
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    assert annotations["artifacthub.io/license"] == "Apache-2.0"
    assert "Apache License" in (Path(ROOT) / "LICENSE").read_text()
