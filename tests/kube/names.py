"""Names, labels and owners as the API server accepts them, and the uids and suffixes it gives out.

Uids and suffixes are counted, not drawn, so that two runs of one test are the same to the last byte.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

from kube.errors import Cause, invalid
from kube.kinds import Kind
from kube.storage import Object

_SUBDOMAIN: Final = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL: Final = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_LABEL_VALUE: Final = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_LABEL_KEY: Final = re.compile(r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
"""Of generated suffixes (k8s.io/apimachinery `util/rand`): no vowels, no look-alikes."""
_SHORT_NAMES: Final = frozenset({"Service", "PyTorchJob", "TrainJob"})
"""Kinds whose name becomes a DNS label (RFC 1035)."""
MAX_ANNOTATIONS: Final = 256 * 1024


class Identities:
    """Gives out uids and name suffixes, in a fixed order."""

    def __init__(self) -> None:
        self._uids = count(1)
        self._suffixes = count(1)

    def uid(self) -> str:
        """The next uid."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, str(next(self._uids))))

    def suffix(self) -> str:
        """Five characters for a generated name."""
        number, text = next(self._suffixes) * 7_919_597, ""
        for _ in range(5):
            number, digit = divmod(number, len(_ALPHABET))
            text += _ALPHABET[digit]
        return text


def check_metadata(kind: Kind, item: Object) -> None:
    """Raise ApiError 422 for a bad name, label, annotation or owner (apimachinery `api/validation/objectmeta.go`)."""
    causes = list(_causes(kind, item["metadata"]))
    if causes:
        raise invalid(kind, item["metadata"].get("name", ""), causes)


def _causes(kind: Kind, metadata: dict[str, Any]) -> Iterator[Cause]:
    name = metadata.get("name")
    if not name:
        yield Cause("metadata.name", "FieldValueRequired", "Required value: name or generateName is required")
        return
    pattern, longest = (_LABEL, 63) if kind.kind in _SHORT_NAMES else (_SUBDOMAIN, 253)
    if not pattern.match(name) or len(name) > longest:
        yield _bad("metadata.name", name, f"must match {pattern.pattern} and be no more than {longest} characters")
    for key, value in (metadata.get("labels") or {}).items():
        if not _LABEL_KEY.match(key):
            yield _bad("metadata.labels", key, "name part must be a qualified name")
        if not isinstance(value, str) or not _LABEL_VALUE.match(value) or len(value) > 63:
            yield _bad("metadata.labels", value, "must be a valid label value of no more than 63 characters")
    if sum(len(key) + len(value) for key, value in (metadata.get("annotations") or {}).items()) > MAX_ANNOTATIONS:
        yield Cause(
            "metadata.annotations", "FieldValueTooLong", f"Too long: may not be more than {MAX_ANNOTATIONS} bytes"
        )
    yield from _owner_causes(metadata.get("ownerReferences") or [])


def _owner_causes(owners: list[dict[str, Any]]) -> Iterator[Cause]:
    for index, owner in enumerate(owners):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                path = f"metadata.ownerReferences[{index}].{key}"
                yield Cause(path, "FieldValueInvalid", "Invalid value: must not be empty")
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        yield _bad("metadata.ownerReferences", owners, "Only one reference can have Controller set to true")


def _bad(path: str, value: object, message: str) -> Cause:
    return Cause(path, "FieldValueInvalid", f"Invalid value: {value!r}: {message}")
