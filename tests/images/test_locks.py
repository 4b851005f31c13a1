"""The images' locks: parts of the tested lock, with all that their code imports, and no torch where none is due."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from selfreward.render import Images
from selfreward_steps.launch import MODULES

ROOT = Path(__file__).parents[2]
OURS = ("selfreward", "selfreward_steps")
ON_CUDA = re.compile(r"nvidia-.+|cuda-.+|triton")
"""What torch needs of CUDA. The lock of development is that of a torch without."""


@cache
def lock(name: str) -> dict[str, str]:
    """Version by canonical name."""
    lines = (ROOT / "locks" / f"{name}.txt").read_text().splitlines()
    pairs = [line.partition(" ")[0].partition("==") for line in lines]
    return {canonicalize_name(package): version for package, _, version in pairs}


def required(image: str) -> Iterator[Requirement]:
    """What pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in (*project["dependencies"], *project["optional-dependencies"][image]):
        yield Requirement(line)


def roots(image: str) -> list[str]:
    """The modules that the image's containers start."""
    if image == "operator":
        return ["selfreward.control.__main__"]
    images = Images(judge="judge", trainer="trainer")
    steps = sorted({module for step, module in MODULES.items() if images.of_step(step) == image})
    return [f"selfreward_steps.{module}" for module in ("launch", *(["fetch"] if image == "judge" else []), *steps)]


@cache
def imports() -> grimp.ImportGraph:
    """Every import statement of the project, those within functions too."""
    return grimp.build_graph(*OURS, include_external_packages=True, cache_dir=None)


@pytest.mark.parametrize("image", ["operator", "judge", "trainer"])
def test_a_lock_is_part_of_the_one_that_is_tested(image: str) -> None:
    tested = lock("dev")
    other = {name for name, version in lock(image).items() if tested.get(name) != version}
    assert {name for name in other if not (image == "trainer" and ON_CUDA.fullmatch(name))} == set()


@pytest.mark.parametrize("image", ["operator", "judge", "trainer"])
def test_a_lock_holds_what_is_required(image: str) -> None:
    versions = lock(image)
    lacking = [each for each in required(image) if versions.get(canonicalize_name(each.name), "") not in each.specifier]
    assert lacking == [], "run `make lock`"


@pytest.mark.parametrize("image", ["operator", "judge", "trainer"])
def test_a_lock_holds_what_is_imported(image: str) -> None:
    graph, distributions = imports(), packages_distributions()
    reached = {module for root in roots(image) for module in graph.find_upstream_modules(root)}
    packages = {module.partition(".")[0] for module in reached}.difference(OURS).intersection(distributions)
    assert {each for each in packages if not lock(image).keys() & map(canonicalize_name, distributions[each])} == set()
    assert packages


@pytest.mark.parametrize("image", ["operator", "judge"])
@pytest.mark.parametrize("package", ["torch", "transformers", "datasets", "pandas", "numba"])
def test_the_small_images_stay_small(image: str, package: str) -> None:
    assert package not in lock(image)
