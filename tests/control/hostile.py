"""Runs that mean ill: names that are parts of another's folder, addresses that lead there, labels and owners that lie.

The rest of each spec is drawn by :mod:`api.crd_fuzz`, likely values and absurd ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from api.crd_fuzz import documents
from selfreward.render import metadata as labels

Object = dict[str, Any]
VICTIM: Final = ("default", "victim")
NAMESPACES: Final = ("default", "evaluation", "iteration-1", "m1", "store", "team-b", "victim")
NAMES: Final = ("m0", "m1", "default", "evaluation", "iteration-1", "pairs", "manifest.json", "victim", "x" * 63, "a.b")
ADDRESSES: Final = (
    *("", "", "/default", "/default/victim", "/default/victim/m0", "/victim", "/DEFAULT/victim", "/default%2Fvictim"),
    *("/../", "/namespace", "/namespace/default/victim", "/ｎamespace=default/victim", "/x-namespace=default"),
)
"""What may stand behind the store's address, and leads to others or looks as if it did; `/../` is the folder above."""
REFUSED: Final = (
    *("/", "//", "/.", "/default/", "/default/victim?", "/default/victim#", "?/x", "#", "/..", "/../store"),
    *("/default/victim/..", "/%2e%2e", "/default/victim%00", "/default/victim\n", "/default/./victim"),
    *("/default//victim", "/" + "x" * 300, "/namespace=default", "/namespace=default/victim"),
    *("/namespace=default/victim/m0", "/namespace=default/victim/evaluation", "/NAMESPACE=default/victim"),
    *("/namespace%3Ddefault/victim", "/%6eamespace=default", "/namespace=", "/namespace=team-b/default/victim"),
)
"""What may not."""


def hostile(seed: int, folder: Path, victim_uid: str) -> Iterator[Object]:
    """Manifests without an end; all that they commit lies below `folder`."""
    chance = random.Random(seed)
    for document in documents(seed):
        spec = document.get("spec")
        if not isinstance(spec, dict):
            continue
        place = chance.choice(ADDRESSES if chance.random() < 0.7 else REFUSED)
        spec["storage"] = {"uri": f"file://{folder}" if place == "/../" else f"file://{folder}/store{place}"}
        if chance.random() < 0.5:
            spec["deletionPolicy"] = {"artifacts": "Delete"}
        if chance.random() < 0.1:
            spec["ttlSecondsAfterFinished"] = 1
        if chance.random() < 0.7:
            # Whatever else it is, it may begin.
            spec.pop("suspend", None)
            spec.pop("schedule", None)
        if chance.random() < 0.3:
            # Pods of such are written to.
            spec["serving"] = chance.choice(({"keep": "awake"}, {"deviceClassName": "gpu.example.com"}))
        _make_small(spec)
        document["metadata"] = _metadata(chance, victim_uid)
        yield document


def _make_small(spec: Object) -> None:
    """Hundreds of iterations or shards are no attack, and take as long to simulate as hundreds of runs."""
    spec["iterations"] = 1
    for part, names in {
        "serving": ("generationShards", "parallelism"),
        "training": ("nodes", "processesPerNode"),
    }.items():
        section = spec.get(part)
        for name in names if isinstance(section, dict) else ():
            if isinstance(section.get(name), int):
                section[name] = min(section[name], 2)


def _metadata(chance: random.Random, victim_uid: str) -> Object:
    made: Object = {"name": chance.choice(NAMES), "namespace": chance.choice(NAMESPACES)}
    if chance.random() < 0.3:
        made["labels"] = {labels.RUN_UID: victim_uid, labels.RUN: "victim", labels.KEY: "import"}
    if chance.random() < 0.2:
        made["annotations"] = {chance.choice(("selfreward.dev/retry", "selfreward.dev/approve")): "\0" * 3 or "true"}
    if chance.random() < 0.2:
        owner = {"apiVersion": "selfreward.dev/v1alpha1", "kind": "SelfRewardRun", "name": "victim"}
        made["ownerReferences"] = [{**owner, "uid": victim_uid}]
    return made
