"""What a run reads from the disk of its pods on a cluster, where only what is mounted is there.

`validate --cluster` cannot look into a claim, but it sees whether there is any. What a custom image holds nobody knows,
so nothing is said of it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from selfreward.api import SelfRewardRunSpec, Workload
from selfreward.api.addresses import read_uris


def unmounted(spec: SelfRewardRunSpec) -> Iterator[str]:
    """One line for each path at which nothing is mounted in the pods that use it."""
    storage, workloads = spec.storage, spec.workloads
    claimed: list[str] = []
    if storage.uri is not None and storage.uri.startswith("file:///"):
        path = _path(storage.uri)
        if storage.claim_name is not None:
            claimed = [path]
        elif lacking := [kind for kind, workload in workloads if not _is_within(path, _mounts(workload))]:
            yield (
                f"spec.storage.uri: {storage.uri}: pods would write to their own disks, which nobody shares: set "
                f"storage.claimName, or mount a volume there in workloads.{', '.join(lacking)}"
            )
    for field, uri in read_uris(spec).items():
        if uri.startswith("file:///") and (problem := _unseen(_path(uri), "processing", workloads.processing, claimed)):
            yield f"{field}: {uri}: {problem}, or use hf:// or s3://"
    tasks = spec.evaluation.lm_eval
    if tasks is not None and tasks.include_path is not None:
        problem = _unseen(tasks.include_path, "generation", workloads.generation, claimed)
        if problem:
            yield f"spec.evaluation.lmEval.includePath: {tasks.include_path}: {problem}"


def _unseen(path: str, kind: str, workload: Workload, claimed: list[str]) -> str | None:
    if workload.image is not None or _is_within(path, [*claimed, *_mounts(workload)]):
        return None
    return (
        "nothing is mounted there in the pods that read it: "
        f"mount a volume by workloads.{kind}.volumes and volumeMounts"
    )


def _mounts(workload: Workload) -> list[str]:
    return [str(mount["mountPath"]) for mount in workload.volume_mounts if mount.get("mountPath")]


def _is_within(path: str, folders: list[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for folder in folders)


def _path(uri: str) -> str:
    return unquote(urlsplit(uri).path)
