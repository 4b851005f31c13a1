"""What text means as YAML, and text that is none: one line each, and never more memory than the text is worth."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from api.broken_yaml import BROKEN
from hypothesis import example, given
from hypothesis import strategies as st
from selfreward.api.yaml_text import MAX_DEPTH, NotYaml, read_document, read_value


@pytest.mark.parametrize(("text", "line"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_document_is_one_line(text: str | bytes, line: str) -> None:
    with pytest.raises(NotYaml) as caught:
        read_document(text.encode() if isinstance(text, str) else text)
    assert str(caught.value).startswith(line)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


MEANS: dict[str, tuple[str, Any]] = {
    "a number without a point": ("1e-6", 1e-6),
    "signs": ("[+1, -1, +.5]", [1, -1, 0.5]),
    "octal": ("[0o17, 017, 08]", [15, 15, 8.0]),
    "hexadecimal and binary": ("[0x1F, 0b11]", [31, 3]),
    "underscores": ("1_000", 1000),
    "no base of sixty": ("1:30", "1:30"),
    "a date is text": (
        "[2026-01-01, 2026-02-31, 2026-01-01T00:00:00Z]",
        ["2026-01-01", "2026-02-31", "2026-01-01T00:00:00Z"],
    ),
    "words for true": ("[y, Yes, ON, true]", [True] * 4),
    "words for false": ("[n, No, OFF, false]", [False] * 4),
    "no words": ("[tRUE, yEs, nULL]", ["tRUE", "yEs", "nULL"]),
    "nothing": ("[~, null, '']", [None, None, ""]),
    "quotes": ("['1', \"true\", '<<']", ["1", "true", "<<"]),
    "tags that say what is so": ("[!!str 1, !!int 1, !!float 1, !!bool on, !!null ~]", ["1", 1, 1.0, True, None]),
    "keys are text": ("{1: a, true: b, 1.5: c, 2026-01-01: d}", {"1": "a", "true": "b", "1.5": "c", "2026-01-01": "d"}),
    "merged, and what stands there wins": ("{<<: {a: 1, b: 2}, b: 3}", {"a": 1, "b": 3}),
    "merged after, too": ("{b: 3, <<: {a: 1, b: 2}}", {"a": 1, "b": 3}),
    "several merged, the first wins": ("{<<: [{a: 1}, {a: 2, b: 2}]}", {"a": 1, "b": 2}),
    "an anchor set again": ("[&a 1, *a, &a 2, *a]", [1, 1, 2, 2]),
    "a byte order mark": ("\ufeffa: 1", {"a": 1}),
    "an integer of 70 bits": (str(2**70), 2**70),
}


@pytest.mark.parametrize(("text", "value"), MEANS.values(), ids=MEANS.keys())
def test_text_means_what_it_means_to_kubectl(text: str, value: Any) -> None:
    found = read_value(text)
    assert (found, repr(found)) == (value, repr(value))


def test_an_alias_is_a_copy() -> None:
    document = read_document(b"a: &a {b: [1]}\nc: *a\n")
    document["a"]["b"].append(2)
    assert document["c"] == {"b": [1]}


def test_the_deepest_that_is_read() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert repr(read_value(text)) == text


PIECES = st.sampled_from(
    [*"[]{}:,-?&*!|>%@`#'\"\n\t ~.0123456789abexyn<", "&a ", "*a", "<<: ", "!!int ", "\\x", "---\n"]
)


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=40))
@example("[" * 2000)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(NotYaml):
        read_value(text)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(NotYaml):
        read_document(data)
