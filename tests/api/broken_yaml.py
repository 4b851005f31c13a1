"""Text that is no single YAML document, with the line that says so."""

from __future__ import annotations

from selfreward.api.yaml_text import MAX_BYTES

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine lines that stand for a thousand million values."""
CHAIN = "a0: &a0 []\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(200))

BROKEN: dict[str, tuple[str | bytes, str]] = {
    "aliases that multiply": (BOMB, "line 5, column 4: aliases make more than 100,000 values of this"),
    "a list within itself": ("a: &a [*a]", "line 1, column 8: an alias of what it stands in: it would never end"),
    "a mapping within itself": ("a: &a {b: {c: *a}}", "line 1, column 15: an alias of what it stands in"),
    "too deep": ("[" * 5000, "line 1, column 101: nested deeper than 100"),
    "too deep by aliases": (CHAIN, "line 101, column 7: nested deeper than 100, aliases followed"),
    "a list as key": ("? [a]\n: 1", "line 1, column 3: a key must be text"),
    "a mapping as key": ("{{a: 1}: 2}", "line 1, column 2: a key must be text"),
    "nothing as key": ("~: 1", "line 1, column 1: a key must be text"),
    "a key twice": ("a: 1\nb: 2\na: 3\n", "line 3, column 1: 'a' stands twice"),
    "a key twice, spelt differently": ("1: a\n0x1: b\n", "line 2, column 1: '1' stands twice"),
    "a number of 5,000 digits": ("a: " + "9" * 5000, "line 1, column 4: '9999999999999999999999999999999999999999'…"),
    "a number beyond floats": ("a: 1e999", "line 1, column 4: '1e999' is no number that fits"),
    "infinity": ("a: -.inf", "line 1, column 4: '-.inf' is no number that JSON has"),
    "not a number": ("a: .NaN", "line 1, column 4: '.NaN' is no number that JSON has"),
    "merging a number": ("<<: 3", "line 1, column 5: << takes a mapping or a list of mappings"),
    "merging numbers": ("<<: [{a: 1}, 3]", "line 1, column 5: << takes a mapping or a list of mappings"),
    "a NUL": ("a: \0", "character 4: U+0000 is not allowed in YAML"),
    "a control character": ("a: \x1b[31m", "character 4: U+001B is not allowed in YAML"),
    "half a surrogate pair": (r'a: "\ud800"', r"line 1, column 4: '\ud800' holds half of a surrogate pair"),
    "a character beyond Unicode": (r'a: "\U00110000"', "holds an escape or a directive with a number"),
    "a version of 5,000 digits": ("%YAML " + "1" * 5000 + ".1\n--- a", "holds an escape or a directive with a number"),
    "a version of the future": ("%YAML 9.9\n---\na: 1", "line 1, column 1: found incompatible YAML document"),
    "a tab": ("a:\tb: 1", "line 1, column 3: found character '\\t' that cannot start any token"),
    "indented by a tab": ("a:\n\tb: 1", "line 2, column 1: found character '\\t' that cannot start any token"),
    "open quotes": ("a: 'b", "line 1, column 6: found unexpected end of stream"),
    "an open brace": ("a: {b", "line 1, column 6: expected ',' or '}'"),
    "two colons": ("a: b: c", "line 1, column 5: mapping values are not allowed here"),
    "an alias of nothing": ("a: *b", "line 1, column 4: found undefined alias 'b'"),
    "a tag that runs code": (
        "!!python/object/apply:os.system [x]",
        "line 1, column 1: !!python/object/apply:os.system",
    ),
    "a tag of one's own": ("a: !foo 1", "line 1, column 4: !foo means nothing here: remove it"),
    "a set": ("a: !!set {x}", "line 1, column 4: !!set means nothing here: remove it"),
    "binary": ("a: !!binary zz", "line 1, column 4: !!binary means nothing here: remove it"),
    "a timestamp that is none": ("a: !!timestamp x", "line 1, column 4: !!timestamp means nothing here: remove it"),
    "an integer that is none": ("a: !!int x", "line 1, column 4: 'x' is no !!int"),
    "a boolean that is none": ("a: !!bool ~", "line 1, column 4: '~' is no !!bool"),
    "a null that is something": ("a: !!null yes", "line 1, column 4: 'yes' is no !!null"),
    "a mapping tagged as text": ("a: !!str {b: 1}", "line 1, column 4: !!str means nothing here: remove it"),
    "nothing": ("", "holds no documents: give it exactly one SelfRewardRun"),
    "comments": ("# a\n---\n# b\n", "holds no documents: give it exactly one SelfRewardRun"),
    "two documents": ("a: 1\n---\nb: 1\n", "holds several documents: give it exactly one SelfRewardRun"),
    "a list": ("- a", 'holds ["a"]: must be a mapping with metadata and spec'),
    "one word": ("a", 'holds "a": must be a mapping with metadata and spec'),
    "not UTF-8": (b"name: \xff", "byte 6: not UTF-8 text"),
    "UTF-16": ("a: 1".encode("utf-16"), "byte 0: not UTF-8 text"),
    "larger than a cluster stores": (b"#" * (MAX_BYTES + 1), "is larger than 1,572,864 bytes"),
}
