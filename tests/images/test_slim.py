"""What is taken out of an image's packages, and that what remains of them starts."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLIM = ROOT / "images" / "slim.py"


def slim() -> Callable[[Path], None]:
    spec = importlib.util.spec_from_file_location("slim", SLIM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[Path], None] = module.slim
    return found


KEPT = (
    "kubernetes/client/__init__.py",
    "kubernetes/client/api_client.py",
    "kubernetes/aio/client/models/__init__.py",
    "botocore/data/s3/2006-03-01/service-2.json.gz",
    "botocore/data/sts/2011-06-15/service-2.json.gz",
    "botocore/data/endpoints.json",
    "numpy/testing/__init__.py",
    "numpy/core.so",
)
TAKEN = (
    "kubernetes/client/models/v1_pod.py",
    "kubernetes/aio/client/api/core_v1_api.py",
    "kubernetes/aio/client/api/__pycache__/core_v1_api.cpython-311.pyc",
    "botocore/data/ec2/2016-11-15/service-2.json.gz",
    "numpy/tests/test_a.py",
    "numpy/core.pyi",
    "numpy/include/a.h",
)


def test_what_goes_and_what_stays(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in (*KEPT, *TAKEN):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()
    slim()(tmp_path)
    left = {str(path.relative_to(packages)) for path in packages.rglob("*") if path.is_file()}
    assert left == set(KEPT)


@pytest.mark.parametrize(
    ("module", "said"), [("selfreward.control", "--storage-uri"), ("selfreward_steps", "STEP is one of import")]
)
def test_help_needs_no_cluster(module: str, said: str, tmp_path: Path) -> None:
    environment = {"PATH": os.defpath, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


KOPF_DOES_WITHOUT = {"v1_managed_fields_entry", "v1_object_meta", "v1_owner_reference"}
"""It takes these for its checks of types where the package has them (`kopf/_cogs/helpers/thirdparty.py`)."""


def test_the_operator_loads_nothing_that_is_taken_out() -> None:
    """Of the API's client, the generated classes: whoever uses one finds out here and not in the image."""
    program = (
        "import sys, selfreward.control.__main__, selfreward.control.installed;"
        "print(*[name for name in sys.modules if name.startswith('kubernetes.')"
        " and {'api', 'models'} & set(name.split('.')[:-1])])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert {name.rpartition(".")[2] for name in done.stdout.split()} <= KOPF_DOES_WITHOUT
