"""The presets that come with SelfReward, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import selfreward
from selfreward.cli.errors import CommandError

_PACKAGE: Final = Path(selfreward.__file__).parent
_FOLDERS: Final = (_PACKAGE / "presets", _PACKAGE.parents[1] / "presets")
"""Where presets lie in an installed wheel, and in a checkout of the repository."""


def preset_files(presets: Sequence[str]) -> list[Path]:
    """The file of each: a preset's name, or a file of the user's. Raises CommandError."""
    return [_file(preset) for preset in presets]


def _file(preset: str) -> Path:
    if preset.endswith((".yaml", ".yml")):
        return Path(preset)
    for folder in _FOLDERS:
        if (found := folder / f"{preset}.yaml").is_file() and "/" not in preset:
            return found
    raise CommandError([f"--preset {preset}: there is none of that name: use {', '.join(known_presets())} or a file"])


def known_presets() -> list[str]:
    """The names of the presets that come with SelfReward."""
    return sorted({path.stem for folder in _FOLDERS for path in folder.glob("*.yaml")})
