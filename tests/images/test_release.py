"""What `make release` puts beside an image: the list of the packages that are in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    # cyclonedx, whose list here is the name of the lock that it was given.
    ".venv/bin/uv": 'for each; do case $each in locks/*) read=$each ;; dist/*) echo "$read" >"$each" ;; esac; done',
    ".venv/bin/python": "mkdir dist/chart",
    "helm": "touch dist/selfreward-0.1.0.tgz",
    "builder": "true",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The script and the locks, among programs that only note what they are asked for."""
    for place in (".ci/release", *(str(path.relative_to(ROOT)) for path in (ROOT / "locks").glob("*.txt"))):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / place, tmp_path / place)
    for name, body in PROGRAMS.items():
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("image", "flags", "lock"),
    [
        ("trainer", "", "trainer"),
        ("trainer", "--build-arg LOCK=trainer-cpu --build-arg BASE=base", "trainer-cpu"),
        ("judge", "--build-arg LOCK=judge-lm-eval", "judge-lm-eval"),
        ("operator", "--build-arg LOCK=trainer-cpu", "operator"),
        ("generator", "", ""),
    ],
)
def test_the_list_of_packages_is_of_the_lock_that_the_image_was_built_with(
    tree: Path, image: str, flags: str, lock: str
) -> None:
    told = {"DOCKER": str(tree / "builder"), "REGISTRY": "localhost/selfreward", "TAG": "0.1.0", "IMAGES": image}
    environment = os.environ | told | {"HELM": str(tree / "helm"), "BUILD_FLAGS": flags}
    subprocess.run([tree / ".ci/release"], env=environment, check=True, capture_output=True)
    listed = tree / "dist" / f"{image}-0.1.0.cdx.json"
    assert (listed.read_text().strip() if listed.exists() else "") == (f"locks/{lock}.txt" if lock else "")
