"""A store in a folder: a mounted volume of a cluster, or the work folder of a run on one machine.

An artifact is a plain folder that `from_pretrained` and `load_dataset` open as it lies, plus its
`manifest.json`. The volume must rename folders atomically, as local disks and NFS do and as buckets
mounted through FUSE do not: for those there is `s3://`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from . import names
from .base import VerifyingStore, prepare
from .checking import corrupt, mismatch
from .disk import disk_errors, require_room
from .file_journal import FileJournal
from .hashed import Hashed
from .interface import Journal, Problem, ProblemKind
from .manifest import FileEntry, Manifest
from .parallel import each
from .placing import file_chunks, select
from .staging import Staging, leftover_of, remove, remove_stale


class FileStore(VerifyingStore):
    """The `file://` store; see `Store` for what each method promises."""

    def __init__(self, root: Path, hashed: Hashed | None = None) -> None:
        """`hashed` is what this machine has hashed of it; without it every read is."""
        self.root = Path(os.path.normpath(root))
        self._hashed = hashed or Hashed(None)
        # As `Path.as_uri` says it, but with "=" as it stands in a run's folder.
        self.uri = f"file://{quote(str(self.root), safe='/=')}".rstrip("/")

    def commit(
        self,
        artifact: str,
        folder: Path,
        *,
        inputs_digest: str,
        step: str,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Manifest:
        files = prepare(artifact, folder, inputs_digest, step, metadata or {})
        final = self.root / artifact
        if (existing := self._already(artifact, inputs_digest)) is not None:
            # Killed right after it published. Where that cannot be tidied (a volume now read-only) it may stay.
            with suppress(OSError):
                remove_stale(final)
            return existing
        self._refuse_nesting(artifact)
        with disk_errors(self.root):
            require_room(self.root, sum(path.stat().st_size for _, path in files))
            with Staging(final) as staging:
                entries = [staging.copy(name, path) for name, path in files]
                manifest = Manifest.of(
                    artifact, entries, inputs_digest=inputs_digest, step=step, metadata=metadata or {}
                )
                staging.write(names.MANIFEST, manifest.to_json())
                if staging.publish():
                    for entry in entries:
                        self._hashed.add(final / entry.name, entry)
                    return manifest
        winner = self._already(artifact, inputs_digest)
        if winner is None:
            raise self._conflict(artifact, "or holds files that no step committed")
        return winner

    def local_folder(self, artifact: str, scratch: Path, *, only: Sequence[str] | None = None) -> Path:
        manifest = self._committed(artifact)
        problems = each(lambda entry: self._found(manifest, entry), select(manifest, only), workers=self.workers)
        for problem in problems:
            if problem is not None:
                raise corrupt(self.address(artifact), problem)
        return self.root / artifact

    def _found(self, manifest: Manifest, entry: FileEntry) -> Problem | None:
        """What is wrong with a file, hashed unless that was done and it is the same file since."""
        path = self.root / manifest.artifact / entry.name
        return self._hashed.problem(path, entry, lambda: self._problem(manifest, entry))

    def artifacts(self, prefix: str = "") -> list[str]:
        names.check_prefix(prefix)
        if any((self.root / parent / names.MANIFEST).exists() for parent in names.parents(prefix)):
            return []
        return sorted(self._walk(self.root / prefix))

    def journal(self, name: str, *, inputs_digest: str) -> Journal:
        return FileJournal(self.root / names.journal_folder(name, inputs_digest))

    def delete(self, prefix: str) -> None:
        names.check_prefix(prefix)
        found = self.artifacts(prefix)
        with disk_errors(self.root):
            for artifact in found:
                remove(self.root / artifact)
            for folder in self._leftovers(prefix):
                remove(folder)
            self._delete_journals(prefix)
            self._prune(self.root / prefix)

    def _manifest_bytes(self, artifact: str) -> bytes | None:
        path = self.root / artifact / names.MANIFEST
        with disk_errors(path):
            try:
                with path.open("rb") as file:
                    return file.read(names.MAX_MANIFEST + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _chunks(self, manifest: Manifest, entry: FileEntry) -> Iterator[bytes]:
        path = self.root / manifest.artifact / entry.name
        if not path.is_file():
            raise mismatch(entry, ProblemKind.MISSING, "there is no such file")
        yield from file_chunks(path)

    def _stored_names(self, manifest: Manifest) -> list[str]:
        folder = self.root / manifest.artifact
        found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()]
        return [name for name in found if name != names.MANIFEST]

    def _walk(self, top: Path) -> Iterator[str]:
        """The name of every artifact from `top` on; looks into none, nor into what starts with a dot."""
        with disk_errors(top):
            for folder, subfolders, files in os.walk(top, onerror=_raise):
                if names.MANIFEST in files and Path(folder) != self.root:
                    subfolders.clear()
                    yield Path(folder).relative_to(self.root).as_posix()
                subfolders[:] = [name for name in subfolders if not name.startswith(".")]

    def _leftovers(self, prefix: str) -> list[Path]:
        """Staging and trash folders of artifacts within `prefix`."""
        found = []
        for folder, subfolders, _ in os.walk(self.root):
            here = Path(folder)
            for name in [name for name in subfolders if name.startswith(".")]:
                subfolders.remove(name)
                last = leftover_of(name)
                if last is None:
                    continue
                if names.within((here / last).relative_to(self.root).as_posix(), prefix):
                    found.append(here / name)
        return found

    def _delete_journals(self, prefix: str) -> None:
        top = self.root / names.JOURNALS
        if (top / prefix).is_dir():
            remove(top / prefix)
            self._prune((top / prefix).parent)

    def _prune(self, folder: Path) -> None:
        """Remove folders that a deletion left empty, below and above `folder`, up to the root."""
        for below, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):
                os.rmdir(below)
        while folder != self.root and self.root in folder.parents:
            folder = folder.parent
            if folder == self.root:
                return
            with suppress(OSError):
                os.rmdir(folder)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
