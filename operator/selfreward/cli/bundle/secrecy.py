"""The removal of secrets from what leaves a user's hands: resources, events, logs. Pure.

Three ways, since none finds all: by the name that a value has (`HF_TOKEN`, `--api-key`), by its shape (a password in a
URL, a bearer token, the keys of well-known services), and by the value itself, once it stood behind such a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

REMOVED: Final = "REMOVED"
_SHORTEST: Final = 6
"""Characters of a value that is looked for wherever it stands; shorter ones (`true`, `none`) are words."""
_WORD: Final = r"(?:token|password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
_NAME: Final = re.compile(rf"{_WORD}(?:[_-]?id)?$|^(?:proxy-)?authorization$|^cookie$", re.IGNORECASE)
_FLAG: Final = re.compile(rf"--[\w-]*{_WORD}", re.IGNORECASE)
_DROPPED: Final = ("managedFields", "kubectl.kubernetes.io/last-applied-configuration")
"""They say the resource once more, in other words."""
_OPEN: Final = ("SELFREWARD_CONFIG",)
"""Variables of ours whose value a maintainer needs; secrets never stand in them, and are looked for all the same."""
_SHAPES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", REMOVED),
        (r"(\w://)[^\s/?#\"'<>]+@", rf"\1{REMOVED}@"),
        (r"([?&](?:[\w-]*(?:signature|credential|token|password|secret)|sig|[\w-]*key)=)[^&\s\"'<>]+", rf"\1{REMOVED}"),
        (r"\b((?:bearer|basic)\s+)[\w.~+/=-]{6,}", rf"\1{REMOVED}"),
        (rf"({_FLAG.pattern}[\w-]*[ =]+)[\"']?[^\s\"',\]]+", rf"\1{REMOVED}"),
        (rf"({_WORD}(?:[_-]?id)?\\?[\"']?\s*[:=]\s*[\[(]?\s*\\?[\"'])(?:[^\"'\\]|\\.)+", rf"\1{REMOVED}"),
        (rf"({_WORD}(?:[_-]?id)?\s*[:=]\s*)(?![\"'\[(\\])[^\s\"',&}}]+", rf"\1{REMOVED}"),
        (r"\b(?:hf_|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk-|sk_|nvapi-)[\w-]{12,}", REMOVED),
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}", REMOVED),
        (r"\beyJ[\w-]{6,}\.[\w-]{6,}\.[\w-]*", REMOVED),
    )
)


def is_secret_name(name: str) -> bool:
    """Whether what bears that name is a secret. The name of a Secret is none."""
    return _NAME.search(name) is not None


def secret_values(document: object, environment: Mapping[str, str]) -> set[str]:
    """The values behind secret names, in a resource and in this process's environment."""
    found = {value for name, value in environment.items() if is_secret_name(name)}
    found |= set(_named_values(document))
    return {value for value in found if len(value) >= _SHORTEST}


def without_secrets(document: Any, values: Iterable[str] = ()) -> Any:
    """The document without secrets, and without the values of variables, which may be anything."""
    known = tuple(values)
    match document:
        case {"name": str(name), "value": str(), **rest} if name not in _OPEN:
            return {"name": name, "value": REMOVED, **without_secrets(rest, known)}
        case dict():
            return {
                key: REMOVED if isinstance(value, str) and is_secret_name(key) else without_secrets(value, known)
                for key, value in document.items()
                if key not in _DROPPED
            }
        case list():
            # With the one before: `--api-key X` may be two arguments.
            return [
                REMOVED if _is_bare_flag(flag) and isinstance(value, str) else without_secrets(value, known)
                for flag, value in zip([None, *document], document, strict=False)
            ]
        case str():
            return cleaned(document, known)
        case _:
            return document


def cleaned(text: str, values: Iterable[str] = ()) -> str:
    """The text without what is, or looks like, a secret."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, REMOVED)
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text


def _is_bare_flag(value: object) -> bool:
    return isinstance(value, str) and "=" not in value and _FLAG.match(value) is not None


def _named_values(document: object) -> Iterable[str]:
    match document:
        case {"name": str(name), "value": str(value)} if is_secret_name(name):
            yield value
        case dict():
            for key, value in document.items():
                if isinstance(value, str) and is_secret_name(key):
                    yield value
                else:
                    yield from _named_values(value)
        case list():
            for flag, value in zip([None, *document], document, strict=False):
                if _is_bare_flag(flag) and isinstance(value, str):
                    yield value
                else:
                    yield from _named_values(value)
