"""A bench for each test, over one tiny model for all of them."""

import os
import sys
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
# Before any torch: one thread gives the same sums every time and leaves the other core alone.
os.environ["OMP_NUM_THREADS"] = "1"

from tiny_model import make_tiny_model
from training_bench import Bench


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "m0")


@pytest.fixture
def bench(tmp_path: Path, forks: ForkServerContext, tiny_model: Path) -> Iterator[Bench]:
    """A bench with the model `m0`, the data `seed` and `eft`, and the pairs `iteration-1/pairs`."""
    made = Bench(tmp_path, forks)
    made.put_folder("m0", tiny_model)
    made.put("seed", instructions=[_instruction(number) for number in range(48)])
    made.put("eft", train=[_judgement(number) for number in range(16)])
    made.put("iteration-1/pairs", pairs=[_pair(number) for number in range(48)])
    return made


def _counted(number: int) -> str:
    return " ".join(str(each) for each in range(number % 7 + 1)) + "."


def _instruction(number: int) -> dict[str, object]:
    question = {"role": "user", "content": f"Count to {number % 7}"}
    return {"id": f"i{number}", "messages": [question, {"role": "assistant", "content": _counted(number)}]}


def _judgement(number: int) -> dict[str, object]:
    good = number % 2
    return {
        "id": f"e{number}",
        "prompt": f"Count to {number % 7}",
        "response": _counted(number) if good else "The sea and the wind.",
        "critique": "It counts." if good else "It does not count.",
        "score": 5.0 if good else 1.0,
    }


def _pair(number: int) -> dict[str, object]:
    return {
        "id": f"p{number}",
        "prompt": [{"role": "user", "content": f"Count to {number % 7}"}],
        "chosen": [{"role": "assistant", "content": _counted(number)}],
        "rejected": [{"role": "assistant", "content": "The sea and the wind."}],
        "chosen_score": 4.0,
        "rejected_score": 1.0,
    }
