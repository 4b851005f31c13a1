"""The licence that a model's source states, in its card or its licence file."""

from pathlib import Path

import pytest
from selfreward_steps.importing.card import licence_of

APACHE = "Apache License\n  Version 2.0, January 2004"


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        pytest.param(b"---\nlicense: mit\n---\n# Theirs", "mit", id="stated"),
        pytest.param(b"---\nlicense: mit\n---", "mit", id="nothing but metadata"),
        pytest.param(b"---\r\nlicense: mit\r\n---\r\n", "mit", id="lines of Windows"),
        pytest.param(b"# No metadata", None, id="no metadata"),
        pytest.param(b"---\n---\n", None, id="empty metadata"),
        pytest.param(b"---\nlicense:\n---\n", None, id="empty licence"),
        pytest.param(b"---\nlicense: [a, b]\n---\n", None, id="a list"),
        pytest.param(b"---\n- license\n---\n", None, id="no mapping"),
        pytest.param(b"---\nlicense: [\n---\n", None, id="no YAML"),
        pytest.param(b"---\nlicense: \xff\n---\n", None, id="no UTF-8"),
        pytest.param(None, None, id="no card"),
    ],
)
@pytest.mark.parametrize("file", [None, APACHE], ids=["no licence file", "a licence file"])
def test_the_card_speaks_first_and_the_licence_file_else(
    tmp_path: Path, card: bytes | None, licence: str | None, file: str | None
) -> None:
    if card is not None:
        (tmp_path / "README.md").write_bytes(card)
    if file is not None:
        (tmp_path / "LICENSE.txt").write_text(file)
    assert licence_of(tmp_path) == (licence or (file and "apache-2.0"))
