"""The rules for names of artifacts, journals and the files in them, in every kind of store.

Names are checked here, once, so that a name that works in a folder also works in a bucket. This module
must not touch a disk or a network.
"""

import re
import secrets
import time
from pathlib import PurePosixPath
from urllib.parse import unquote

MANIFEST = "manifest.json"
JOURNALS = ".journals"
MAX_MANIFEST = 16 << 20
"""Bytes of a manifest that are read: ten thousand files have 2 MB. More is nobody's manifest, and would fill memory."""
MAX_NAMES = 1_000_000
"""Names below one root that are listed."""
NAMESPACE = "namespace="
"""What the folder of a namespace's runs begins with, and no segment of a storage URI."""

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DATA_FOLDER = re.compile(r"data-[0-9a-f]{16}")


def new_attempt() -> str:
    """16 random hex digits that set one attempt's leftovers apart from every other's."""
    return secrets.token_hex(8)


def data_folder(attempt: str) -> str:
    """The folder, inside an artifact in a bucket, that one attempt at committing it writes to."""
    return f"data-{attempt}"


def is_data_folder(segment: str) -> bool:
    return _DATA_FOLDER.fullmatch(segment) is not None


def check_artifact(name: str) -> str:
    """Return `name` if it can name an artifact or a journal.

    Such a name is a relative slash path of letters, digits, `.`, `_` and `-`, such as
    `iteration-1/responses/shard-00003`. Segments that start with a dot, `manifest.json` and `data-<16 hex>`
    belong to the store. Raises ValueError, since names come from our code and not from users.
    """
    for segment in name.split("/"):
        reserved = segment == MANIFEST or is_data_folder(segment)
        if reserved or _SEGMENT.fullmatch(segment) is None:
            raise ValueError(f"not an artifact name: {name!r} (segment {segment!r})")
    return name


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it is empty, for everything, or could name an artifact."""
    return check_artifact(prefix) if prefix else prefix


def check_file(name: str) -> str:
    """Return `name` if it can name a file of an artifact: relative, normalised, inside, and not the manifest.

    Read from manifests too, so this is also what keeps a tampered manifest from writing outside the
    folder it is fetched to.
    """
    path = PurePosixPath(name)
    if (
        not name
        or path.is_absolute()
        or ".." in path.parts
        or str(path) != name
        or name in (".", MANIFEST)
        or "\\" in name
        or any(ord(char) < 32 or 0xD800 <= ord(char) <= 0xDFFF for char in name)
    ):
        raise ValueError(f"not a file name of an artifact: {name!r}")
    return name


def parents(artifact: str) -> list[str]:
    """Every name that `artifact` lies under: `a/b/c` gives `a`, `a/b`."""
    segments = artifact.split("/")
    return ["/".join(segments[:end]) for end in range(1, len(segments))]


def within(name: str, prefix: str) -> bool:
    """Whether `name` is `prefix` or lies under it: `m1` does not hold `m10`, and `""` holds everything."""
    return not prefix or name == prefix or name.startswith(prefix + "/")


def root_problem(path: str) -> str | None:
    """Why a path, its percent signs decoded, can be no store's root; None when it can, or is empty."""
    if "\0" in path:
        return "holds a NUL, which no path can"
    inside = path.strip("/")
    if inside and {"", ".", ".."}.intersection(inside.split("/")):
        return "its path may hold no empty segment and no '.' or '..'"
    return None


def bucket_problem(bucket: str) -> str | None:
    """Why a name can be no bucket's; None when it can."""
    if _BUCKET.fullmatch(bucket):
        return None
    return f"{bucket!r} is not a bucket name: 3 to 63 of a-z, 0-9, dot and dash"


def run_root(uri: str, namespace: str, name: str) -> str:
    """The URI of a run's own folder, `URI/namespace=NAMESPACE/NAME`.

    No two runs' folders lie within each other, whatever URIs are chosen: each holds one segment `namespace=…`, which
    no namespace and no name is called like, and the run's name after it. Raises ValueError for a URI that holds one.
    """
    if problem := within_run(unquote(uri)):
        raise ValueError(problem)
    return f"{uri.rstrip('/')}/{NAMESPACE}{namespace}/{name}"


def within_run(path: str) -> str | None:
    """Why a path, its percent signs decoded, can have no run's folder below it; None when it can."""
    for segment in path.split("/"):
        # Some file systems take both cases for one.
        if segment.lower().startswith(NAMESPACE):
            return f"{segment!r} is the folder of a namespace's runs: name one above it"
    return None


def journal_folder(name: str, inputs_digest: str) -> str:
    """Where, below a store's root, the journal's attempts lie; the dot keeps it apart from longer names."""
    check_artifact(name)
    digest = inputs_digest.removeprefix("sha256:")
    if re.fullmatch(r"[0-9a-f]{64}", digest) is None:
        raise ValueError(f"not an inputs digest: {inputs_digest!r}")
    return f"{JOURNALS}/{name}/.{digest[:16]}"


def new_journal_attempt() -> str:
    """A name for one attempt's records that sorts by the time it started."""
    return f"{time.time_ns():016x}-{secrets.token_hex(4)}"
