"""The look into an engine's weights: one changed value of what it compares is found."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from selfreward_steps.engine import weights
from selfreward_steps.engine.weights import Weights


class Model(torch.nn.Module):
    """What an engine keeps: some as in the file, some fused."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.Parameter(torch.ones(4))
        self.down = torch.nn.Parameter(torch.arange(8.0).reshape(4, 2))
        self.qkv = torch.nn.Parameter(torch.zeros(6, 2))


def worker(model: torch.nn.Module) -> Any:
    """A worker of vLLM with the methods added."""
    made = Weights()
    made.model_runner = SimpleNamespace(get_model=lambda: model)  # type: ignore[attr-defined]
    return made


def write(folder: Path, **changed: torch.Tensor) -> str:
    own = {"norm": torch.ones(4), "down": torch.arange(8.0).reshape(4, 2), "q": torch.zeros(2, 2)}
    save_file(own | changed, folder / "model.safetensors")
    return str(folder)


def test_what_the_file_says_is_like(tmp_path: Path) -> None:
    worker(Model()).selfreward_compare(write(tmp_path))


@pytest.mark.parametrize("name", ["norm", "down"])
def test_one_changed_value_is_found(tmp_path: Path, name: str) -> None:
    model = Model()
    changed = getattr(model, name).detach().clone()
    changed.view(-1)[-1] += 1e-3
    folder = write(tmp_path, **{name: changed})
    with pytest.raises(ValueError, match=f"the engine does not hold the weights in {folder}: {name}"):
        worker(model).selfreward_compare(folder)


def test_a_file_in_another_format_is_read_in_the_engines(tmp_path: Path) -> None:
    exact = torch.full((4,), 1.0039)
    model = Model().bfloat16()
    model.norm.data = exact.bfloat16()
    worker(model).selfreward_compare(write(tmp_path, norm=exact))


def test_where_nothing_can_be_compared_nothing_is_known(tmp_path: Path) -> None:
    save_file({"other": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="no weight"):
        worker(Model()).selfreward_compare(str(tmp_path))


def test_large_matrices_are_taken_at_distances_and_vectors_all(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {f"layer.{place}": torch.zeros(2, 2) for place in range(10)} | {"norm": torch.zeros(2)}
    monkeypatch.setattr(weights, "_BUDGET", 5 * 16)
    assert weights._spread(sorted(tensors), tensors) == ["norm", *(f"layer.{place}" for place in range(0, 10, 2))]
