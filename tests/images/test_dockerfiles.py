"""Dockerfiles without a builder: pinned, locked, and not root."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from selfreward.render import Images
from selfreward.render.pods import USER_ID

ROOT = Path(__file__).parents[2]
NAMES = ("operator", "generator", "judge", "trainer")
LOCKED = ("operator", "judge", "trainer")
LOCKS = {"judge": ["LOCK=judge"], "trainer": ["LOCK=trainer", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"]}
"""Arguments of those that may hold something else, and where to find it."""


def instructions(image: str) -> list[tuple[str, str]]:
    """Keyword and arguments of each instruction of an image's Dockerfile."""
    text = (ROOT / "images" / image / "Dockerfile").read_text()
    lines = re.sub(r" *\\\n *", " ", text).splitlines()
    told = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    # The lock is an argument where an image may hold more.
    return [(keyword, arguments.replace("${LOCK}", image)) for keyword, _, arguments in told]


def all_of(image: str, keyword: str) -> list[str]:
    return [arguments for each, arguments in instructions(image) if each == keyword]


@pytest.mark.parametrize("image", NAMES)
def test_the_base_is_pinned_and_can_be_replaced(image: str) -> None:
    base, *others = all_of(image, "ARG")
    assert others == [*LOCKS.get(image, []), "BASE", "VERSION=0.1.0", "REVISION=unknown"]
    assert re.fullmatch(r"BASE=[a-z/-]+:v?\d+\.\d+\.\d+[a-z0-9.-]*", base)
    assert {each.split()[0] for each in all_of(image, "FROM")} == {"${BASE}"}


@pytest.mark.parametrize("image", NAMES)
def test_the_user_is_the_one_pods_run_as(image: str) -> None:
    assert all_of(image, "USER")[-1] == f"{USER_ID}:{USER_ID}"
    assert instructions(image)[-2][0] == "USER", "nothing is done as root after it"


@pytest.mark.parametrize("image", LOCKED)
def test_the_image_holds_its_lock_and_nothing_that_is_resolved_anew(image: str) -> None:
    assert f"locks/{image}.txt /tmp/lock.txt" in all_of(image, "COPY")
    (install,) = [each for each in all_of(image, "RUN") if " install " in each]
    assert "--no-deps --require-hashes --requirement /tmp/lock.txt" in install


@pytest.mark.parametrize("image", LOCKED)
def test_nothing_can_be_installed_in_the_image(image: str) -> None:
    stage = [text for keyword, text in instructions(image) if keyword in ("FROM", "RUN", "COPY")]
    last = stage[len(stage) - stage[::-1].index("${BASE}") - 1 :]
    assert any(each.startswith("rm -rf") and "site-packages/pip*" in each for each in last)
    assert not any(" install " in each for each in last)
    assert "--without-pip /opt/venv" in " ".join(stage)


@pytest.mark.parametrize("image", NAMES)
def test_the_image_says_what_it_is(image: str) -> None:
    (labels,) = all_of(image, "LABEL")
    told = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)=("[^"]*"|\S+)', labels))
    assert set(told) == {"title", "description", "licenses", "version", "revision", "base.name"}
    assert told["licenses"] == "Apache-2.0"
    assert (told["version"], told["revision"], told["base.name"]) == ("$VERSION", "$REVISION", "$BASE")


@pytest.mark.parametrize("image", LOCKED)
def test_an_image_that_does_not_start_is_not_built(image: str) -> None:
    module = json.loads(all_of(image, "ENTRYPOINT")[0])[-1]
    assert all_of(image, "RUN")[-1].endswith(f"python3 -m {module} --help >/dev/null")


def test_the_lock_that_the_judge_can_be_built_with_is_there() -> None:
    from selfreward_steps.evaluation import lm_eval_run

    (named,) = set(re.findall(r"LOCK=(\S+?)[ ,]", (ROOT / "images/judge/Dockerfile").read_text()))
    assert f"--build-arg LOCK={named}" in Path(lm_eval_run.__file__).read_text()
    assert (ROOT / "locks" / f"{named}.txt").exists()


@pytest.mark.parametrize("image", NAMES)
def test_what_is_copied_is_there(image: str) -> None:
    copied = [each.split()[0] for each in all_of(image, "COPY") if not each.startswith("--from")]
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert [each for each in copied if not (ROOT / each).exists() or Path(each).parts[0] not in sent] == []


@pytest.mark.parametrize(
    ("image", "module"),
    [
        ("operator", "selfreward.control"),
        ("generator", "vllm.entrypoints.openai.api_server"),
        ("judge", "selfreward_steps"),
        ("trainer", "selfreward_steps"),
    ],
)
def test_the_image_starts_what_the_operator_would(image: str, module: str) -> None:
    (entrypoint,) = all_of(image, "ENTRYPOINT")
    assert json.loads(entrypoint) == ["python3", "-m", module]


def test_the_images_that_are_built_are_those_that_are_asked_for() -> None:
    makefile = (ROOT / "Makefile").read_text()
    tag, registry = (re.findall(rf"^{name} \?= (.+)$", makefile, re.M)[0] for name in ("TAG", "REGISTRY"))
    chart = yaml.safe_load((ROOT / "charts/selfreward/Chart.yaml").read_text())
    assert chart["appVersion"] == tag
    built = {name: f"{registry}/{name}:{tag}" for name in NAMES}
    values = yaml.safe_load((ROOT / "charts/selfreward/values.yaml").read_text())["images"]
    assert {name: f"{values['registry']}/{values[name]['repository']}:{tag}" for name in NAMES} == built
    assert {name: f"localhost/{image}" for name, image in asdict(Images()).items()} == {
        name: image for name, image in built.items() if name != "operator"
    }
