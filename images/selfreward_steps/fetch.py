"""`python -m selfreward_steps fetch`: a server's init container, which brings the model it will serve.

Servers are other people's programs that know folders, not artifacts; this puts the artifact, verified, where
they look. It must not know which server comes after it, and must stay light: it runs before every server start.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from selfreward_steps.contract import FETCH_VARIABLE, LENT, MODEL_DIR_VARIABLE, VERIFIED, FetchConfig
from selfreward_steps.engine.lend import lend
from selfreward_steps.engine.likeness import file_stamps
from selfreward_steps.errors import InfrastructureError, PermanentError, StepError
from selfreward_steps.store import Store, open_store

FETCHED: Final = "artifacts"
"""Folder beside the served one that holds what a bucket's files are fetched to."""
GENERATION_DEFAULTS: Final = "generation_config.json"
_SAMPLING: Final = {"do_sample": True, "top_k": 0}
"""What a request must be able to count on. `transformers serve` decodes greedily at any temperature unless the defaults
say that it samples, and by itself generates from the 50 likeliest tokens only; 0 means from all."""
_TOKEN: Final = "_token_id"
"""End of the names of the defaults that say where a text begins and ends: the others would change what is asked for
(the model's own top-k, penalties, forced tokens), and a request has no field to take them back with."""


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Bring the model that the environment names; returns the exit code, and tells a failure in one line."""
    place = None
    try:
        config, place = _configuration(environment)
        store = open_store(config.store.uri, endpoint_url=config.store.endpoint_url, region=config.store.region)
        bring(store, config, place)
    except StepError as error:
        print(f"{error.reason}: {in_users_words(str(error), place)}", file=sys.stderr, flush=True)
        return error.exit_code
    print(f"{store.address(config.artifact)} is at {place}", flush=True)
    return 0


def bring(store: Store, config: FetchConfig, place: Path) -> None:
    """Make `place` the folder of the model: links to where the files were fetched, or already are.

    A folder store costs no copy: its volume is mounted at the same path in the server's container. Raises
    InfrastructureError InputMissing and PermanentError InputChanged (another model than decided on).
    """
    manifest = store.read_manifest(config.artifact)
    if manifest is None:
        raise InfrastructureError("InputMissing", f"{store.address(config.artifact)} is not committed")
    if config.digest is not None and manifest.digest != config.digest:
        raise PermanentError(
            "InputChanged",
            f"{store.address(config.artifact)} has digest {manifest.digest}, the run recorded {config.digest}: "
            "the store was changed from outside; use another run name or storage prefix",
        )
    _lay_out(store.local_folder(config.artifact, place.parent / FETCHED), place)
    if config.lends:
        lend(place.parent / LENT)


def _lay_out(folder: Path, place: Path) -> None:
    """Make `place` a folder of links to the files of `folder`, but for the generation defaults."""
    if place.is_symlink():
        place.unlink()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for file in folder.iterdir():
        (place / file.name).symlink_to(file)
    defaults = place / GENERATION_DEFAULTS
    stated = json.loads(defaults.read_text(encoding="utf-8")) if defaults.exists() else {}
    defaults.unlink(missing_ok=True)
    kept = {name: value for name, value in stated.items() if name.endswith(_TOKEN) and not name.startswith("forced")}
    defaults.write_text(json.dumps({**kept, **_SAMPLING}, indent=2) + "\n", encoding="utf-8")
    # A server that takes the model later compares these with what it has loaded.
    (place / VERIFIED).write_text(json.dumps(file_stamps(place)), encoding="utf-8")


def in_users_words(message: str, place: Path | None) -> str:
    """The message without the folder that the container, not the user, has chosen."""
    if place is None:
        return message
    within = message.replace(f"{place.parent / FETCHED}/", "")
    return re.sub(rf"{re.escape(str(place.parent))}(?:/[^\s:,;]*)?(?![\w.-])", "the server's disk for models", within)


def _configuration(environment: Mapping[str, str]) -> tuple[FetchConfig, Path]:
    text, place = environment.get(FETCH_VARIABLE), environment.get(MODEL_DIR_VARIABLE)
    if text is None or place is None:
        raise PermanentError("BadConfiguration", f"{FETCH_VARIABLE} and {MODEL_DIR_VARIABLE} must both be set")
    try:
        return FetchConfig.model_validate_json(text), Path(place)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in problem["loc"]) or "(whole)"
        raise PermanentError("BadConfiguration", f"{FETCH_VARIABLE}: {field}: {problem['msg']}") from error
