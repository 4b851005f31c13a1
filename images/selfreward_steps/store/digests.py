"""Digests that are the same on every machine for the same content, whatever the order or the time.

Everything that decides "this was already done" compares these, so nothing here may depend on the clock,
on the order of a mapping or on the locale.
"""

import hashlib
import json
from collections.abc import Mapping

from pydantic import JsonValue


def canonical_json(value: object) -> bytes:
    """`value` as ASCII JSON with sorted keys and no spaces; raises ValueError on NaN, infinity or a cycle."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")


def digest_of(value: object) -> str:
    """`sha256:` and the hex digest of `value`'s canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def inputs_digest(step: str, config: Mapping[str, JsonValue], inputs: Mapping[str, str]) -> str:
    """The digest of everything a step's output depends on.

    `config` holds the settings that change the output (not the number of workers, not where the store
    is); `inputs` gives the manifest digest of every artifact that the step reads, by its role. A step
    whose output is committed under the same digest has nothing to do. As each input's digest includes its
    own inputs' digest, a change anywhere upstream changes every digest downstream.
    """
    return digest_of({"step": step, "config": dict(config), "inputs": dict(inputs)})
