"""The look into an engine's weights, as methods that vLLM adds to its workers (`--worker-extension-cls`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

_BUDGET: Final = 256 << 20
"""Bytes of matrices that one look compares, spread over the layers. All vectors are compared: they are small."""


class Weights:
    """Methods of a worker, beside vLLM's own."""

    def selfreward_compare(self: Any, folder: str) -> None:
        """Raises ValueError where a parameter is not what the files of `folder` say, or nothing can be compared.

        It raises rather than tells, since an error of any engine reaches whoever asks; of several engines' answers vLLM
        hands on the first alone. Compared is what the engine keeps under the file's name and shape, so neither what it
        fuses nor what it splits over GPUs.
        """
        parameters = dict(self.model_runner.get_model().named_parameters())
        with _Files(Path(folder)) as files:
            names = [name for name in files.names if name in parameters and files.shape(name) == parameters[name].shape]
            chosen = _spread(names, parameters)
            if not chosen:
                raise ValueError(f"no weight in {folder} can be compared with what the engine holds")
            for name in chosen:
                if not files.hold(name, parameters[name]):
                    raise ValueError(f"the engine does not hold the weights in {folder}: {name}")


class _Files:
    """The safetensors files of a folder, by the tensors in them."""

    def __init__(self, folder: Path) -> None:
        from contextlib import ExitStack

        from safetensors import safe_open

        self._stack = ExitStack()
        opened = [
            self._stack.enter_context(safe_open(file, framework="pt")) for file in sorted(folder.glob("*.safetensors"))
        ]
        self._places = {name: file for file in opened for name in file.keys()}  # noqa: SIM118 - not iterable

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def names(self) -> list[str]:
        return sorted(self._places)

    def shape(self, name: str) -> torch.Size:
        import torch

        return torch.Size(self._places[name].get_slice(name).get_shape())

    def hold(self, name: str, parameter: torch.Tensor) -> bool:
        """Whether the file has these values, in the engine's number format."""
        import torch

        return torch.equal(self._places[name].get_tensor(name).to(parameter.dtype), parameter.detach().cpu())


def _spread(names: list[str], parameters: dict[str, torch.Tensor]) -> list[str]:
    """All vectors, and matrices at even distances up to the budget."""
    matrices = [name for name in names if parameters[name].dim() > 1]
    size = sum(parameters[name].numel() * parameters[name].element_size() for name in matrices)
    step = max(1, -(-size // _BUDGET))
    return [name for name in names if parameters[name].dim() <= 1] + matrices[::step]
