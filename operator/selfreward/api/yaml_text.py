"""One YAML document from bytes that may hold anything, read as kubectl reads it.

A file must mean the same here as to `kubectl apply`, and PyYAML's own loader follows other rules: `1e-6` is text to
it and a number there, `2026-01-01` a date and text there, `1:30` ninety. So only PyYAML's parser is used, and what a
plain scalar means is decided here as in kubectl's library (sigs.k8s.io/yaml, goyaml.v2/resolve.go). What comes out is
what JSON can hold. Every way in which text can be no such document is a :class:`NotYaml` of one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from selfreward.api.problems import compact

MAX_BYTES: Final = 1_572_864
"""etcd's limit of one request (1.5 MiB): no larger resource can be stored."""
MAX_DEPTH: Final = 100
"""Mappings and lists within each other, aliases followed."""
MAX_VALUES: Final = 100_000
"""Values, aliases followed: nine lines of aliases can stand for a thousand million."""

_TAG: Final = "tag:yaml.org,2002:"
_WORDS: Final[Mapping[str, bool | None]] = {
    spelling: meaning
    for meaning, words in ((True, "y yes true on"), (False, "n no false off"), (None, "null"))
    for word in words.split()
    for spelling in (word, word.capitalize(), word.upper())
} | {"": None, "~": None}
_INTEGER = re.compile(r"[-+]?(0[bB][01]+|0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_IN_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_BASES: Final = {"0b": 2, "0x": 16, "0o": 8}
_DIGITS: Final = 400
"""More than the largest float has; Python refuses to read some thousands."""


class NotYaml(ValueError):
    """Text that is no single YAML document; `str(error)` is one line and says where."""


def read_document(text: bytes) -> dict[str, Any]:
    """The mapping that `text` holds, a tree: no value stands in two places. Raises NotYaml."""
    if len(text) > MAX_BYTES:
        raise NotYaml(f"is larger than {MAX_BYTES:,} bytes, more than a cluster stores")
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotYaml(f"byte {error.start}: not UTF-8 text") from error
    documents = list(_parsed(decoded, most=2))
    if len(documents) != 1:
        raise NotYaml(f"holds {'several' if documents else 'no'} documents: give it exactly one SelfRewardRun")
    if not isinstance(documents[0], dict):
        raise NotYaml(f"holds {compact(documents[0])}: must be a mapping with metadata and spec")
    return documents[0]


def read_value(text: str) -> Any:
    """One value, such as an option's. Raises NotYaml."""
    return next(_parsed(text, most=1), None)


def _parsed(text: str, most: int) -> Iterator[Any]:
    """The documents that are not empty, `most` at most."""
    try:
        composer = _Composer(text)
        while most and composer.check_node():
            node = composer.get_node()
            if node is not None and (value := _value(node)) is not None:
                yield value
                most -= 1
    except yaml.MarkedYAMLError as error:
        raise NotYaml(_marked(error)) from error
    except yaml.reader.ReaderError as error:
        raise NotYaml(f"character {error.position + 1}: U+{error.character:04X} is not allowed in YAML") from error
    except ValueError as error:  # PyYAML's scanner lets through what `chr` and `int` refuse
        if isinstance(error, NotYaml):
            raise
        raise NotYaml("holds an escape or a directive with a number that YAML does not have") from error


def _marked(error: yaml.MarkedYAMLError) -> str:
    words = " ".join((error.problem or error.context or "not YAML").split())
    mark = error.problem_mark or error.context_mark
    return words if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {words}"


class _Composer(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's, with limits on what an alias may stand for, and on depth, where PyYAML recurses."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0
        self._extents: dict[int, tuple[int, int]] = {}
        """Values within a finished node, itself included, and how deep they go; by the node's identity."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        if not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(event.anchor, None)  # YAML lets an anchor be set again, PyYAML does not
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _at(mark, f"nested deeper than {MAX_DEPTH}")
        node = super().compose_node(parent, index)
        assert node is not None
        self._depth -= 1
        if id(node) not in self._extents:
            self._extents[id(node)] = self._extent(node, mark)
        if self._depth == 0:
            self._extents.clear()  # the next document's nodes may have the same identities
        return node

    def _extent(self, node: yaml.Node, mark: yaml.Mark) -> tuple[int, int]:
        match node:
            case yaml.MappingNode():
                below = [each for pair in node.value for each in pair]
            case yaml.SequenceNode():
                below = node.value
            case _:
                below = []
        if node.end_mark is None:
            raise _at(mark, "an alias of what it stands in: it would never end")
        extents = [self._extents[id(each)] for each in below]
        values = 1 + sum(each for each, _ in extents)
        depth = 1 + max((each for _, each in extents), default=0)
        if values > MAX_VALUES:
            raise _at(mark, f"aliases make more than {MAX_VALUES:,} values of this")
        if depth > MAX_DEPTH:
            raise _at(mark, f"nested deeper than {MAX_DEPTH}, aliases followed")
        return values, depth

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        """The tag of a node that names none."""
        if kind is not yaml.ScalarNode:
            return _TAG + ("map" if kind is yaml.MappingNode else "seq")
        return _TAG + (_plain_tag(value) if implicit[0] else "str")


def _plain_tag(text: str) -> str:
    if text == "<<":
        return "merge"
    if text in _WORDS:
        return "null" if _WORDS[text] is None else "bool"
    number = text.replace("_", "") if text[:1] != "_" else text
    if _INTEGER.fullmatch(number):
        return "int"
    return "float" if _FLOAT.fullmatch(number) or _NOT_IN_JSON.fullmatch(text) else "str"


def _value(node: yaml.Node) -> Any:
    match node:
        case yaml.MappingNode():
            _expect(node, "map")
            return _mapping(node)
        case yaml.SequenceNode():
            _expect(node, "seq")
            return [_value(each) for each in node.value]
        case yaml.ScalarNode():
            return _scalar(node)
        case _:
            raise _at(node.start_mark, "is nothing of YAML")


def _expect(node: yaml.Node, kind: str) -> None:
    if node.tag != _TAG + kind:
        raise _at(node.start_mark, f"{_short(node.tag)} means nothing here: remove it")


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    own: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if key_node.tag == _TAG + "merge":
            # What is merged first wins, and what stands here itself wins over all.
            for each in _merged(value_node):
                merged = {**each, **merged}
            continue
        key = _key(key_node)
        if key in own:
            raise _at(key_node.start_mark, f"{key!r} stands twice")
        own[key] = _value(value_node)
    return {**merged, **own}


def _merged(node: yaml.Node) -> list[dict[str, Any]]:
    nodes: list[yaml.Node] = node.value if isinstance(node, yaml.SequenceNode) else [node]
    mappings = [each for each in nodes if isinstance(each, yaml.MappingNode)]
    if len(mappings) != len(nodes):
        raise _at(node.start_mark, "<< takes a mapping or a list of mappings")
    return [_mapping(each) for each in mappings]


def _key(node: yaml.Node) -> str:
    """JSON's keys are text: `1: x` is `"1": x`."""
    value = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    match value:
        case None:
            raise _at(node.start_mark, "a key must be text")
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    read = _SCALARS.get(node.tag.removeprefix(_TAG))
    if read is None or not node.tag.startswith(_TAG):
        raise _at(node.start_mark, f"{_short(node.tag)} means nothing here: remove it")
    try:
        return read(text)
    except (ValueError, KeyError, OverflowError) as error:
        words = str(error) if isinstance(error, NotYaml) else f"is no {_short(node.tag)}"
        raise _at(node.start_mark, f"{text[:40]!r}{'…' if len(text) > 40 else ''} {words}") from error


def _text(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise NotYaml("holds half of a surrogate pair, which is no character")
    return text


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    if _INTEGER.fullmatch(digits) is None:
        raise ValueError(text)
    if len(digits) > _DIGITS:
        raise NotYaml("is no number that fits")
    unsigned = digits.lstrip("+-")
    base = _BASES.get(unsigned[:2]) or (8 if unsigned[:1] == "0" else 10)
    return int(digits, base)


def _number(text: str) -> float:
    digits = text.replace("_", "")
    if _NOT_IN_JSON.fullmatch(text):
        raise NotYaml("is no number that JSON has")
    if _FLOAT.fullmatch(digits) is None:
        raise ValueError(text)
    number = float(digits)
    if math.isinf(number):
        raise NotYaml("is no number that fits")
    return number


def _word(text: str) -> bool:
    meaning = _WORDS[text]
    if meaning is None:
        raise KeyError(text)
    return meaning


def _nothing(text: str) -> None:
    if _WORDS[text] is not None:
        raise KeyError(text)


_SCALARS: Final[Mapping[str, Callable[[str], Any]]] = {
    "null": _nothing,
    "bool": _word,
    "int": _integer,
    "float": _number,
    "str": _text,
    "merge": _text,
}


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag


def _at(mark: yaml.Mark, words: str) -> NotYaml:
    return NotYaml(f"line {mark.line + 1}, column {mark.column + 1}: {words}")
