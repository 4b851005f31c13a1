"""The folder of models that an agent shares with its server: what is brought, which is current, what is removed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path

from selfreward_steps.contract import (
    MODEL_DIGEST_VARIABLE,
    MODEL_DIR_VARIABLE,
    MODEL_NAME_VARIABLE,
    FetchConfig,
    StoreConfig,
)
from selfreward_steps.engine.start import CURRENT, LOCK
from selfreward_steps.errors import StepError
from selfreward_steps.fetch import FETCHED, bring, in_users_words
from selfreward_steps.store import open_store


class Models:
    """Models on the pod's own disk."""

    def __init__(self, folder: Path, store: StoreConfig) -> None:
        self._folder = folder
        self._store = store
        self._brought: tuple[str, str | None] | None = None

    def folder_of(self, model: str) -> Path:
        """Where a model lies, or will."""
        return self._folder / model

    def bring(self, model: str, digest: str | None) -> None:
        """Make the model's folder, verified; quick when it was the last that was brought. Raises StepError."""
        if self._brought == (model, digest):
            return
        self._brought = None
        store = open_store(self._store.uri, endpoint_url=self._store.endpoint_url, region=self._store.region)
        place = self.folder_of(model)
        try:
            bring(store, FetchConfig(store=self._store, artifact=model, digest=digest), place)
        except StepError as error:
            raise type(error)(error.reason, in_users_words(str(error), place)) from error
        self._brought = (model, digest)

    def make_current(self, model: str, digest: str | None) -> None:
        """Let a server that starts from now on start with this model."""
        variables = {
            MODEL_NAME_VARIABLE: model,
            MODEL_DIR_VARIABLE: str(self.folder_of(model)),
            MODEL_DIGEST_VARIABLE: digest or "",
        }
        if self._current() == variables:
            return
        new = self._folder / f"{CURRENT}.new"
        new.write_text(json.dumps(variables), encoding="utf-8")
        new.replace(self._folder / CURRENT)

    def make_none_current(self) -> None:
        """Let no server start from now on."""
        (self._folder / CURRENT).unlink(missing_ok=True)

    def is_current(self, model: str, digest: str | None) -> bool:
        """Whether a server that starts now would start with this model."""
        found = self._current()
        return (found.get(MODEL_NAME_VARIABLE), found.get(MODEL_DIGEST_VARIABLE)) == (model, digest or "")

    def has_engine(self) -> bool:
        """Whether a process of an engine lives, or is about to: it holds the lock."""
        lock = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT, 0o660)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def remove_others(self, model: str) -> None:
        """Remove every model but this, which the server holds: a pod's disk must not hold all of a run's."""
        for folder in (self._folder, self._folder / FETCHED):
            for each in folder.iterdir() if folder.is_dir() else ():
                if each.is_dir() and each.name not in (model, FETCHED):
                    shutil.rmtree(each, ignore_errors=True)

    def _current(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads((self._folder / CURRENT).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found
