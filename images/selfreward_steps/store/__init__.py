"""The artifact store: what steps read and write, in a folder (`file://`) or a bucket (`s3://`).

Importing this package is cheap; boto3 is loaded only when an `s3://` store is opened.
"""

from .digests import inputs_digest
from .interface import Journal, Problem, ProblemKind, Store, StoreReason
from .manifest import FileEntry, Manifest
from .opening import open_store

__all__ = [
    "FileEntry",
    "Journal",
    "Manifest",
    "Problem",
    "ProblemKind",
    "Store",
    "StoreReason",
    "inputs_digest",
    "open_store",
]
