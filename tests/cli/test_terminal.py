"""The terminal: nothing that a model wrote, a server answered or a tenant named is taken for a command."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import pytest
import selfreward.cli
from rich.table import Table
from rich.text import Text
from selfreward.api.printable import printable
from selfreward.cli.displays.terminal import Terminal, echo
from selfreward.control.logs import JsonFormatter, TextFormatter

ATTACKS = {
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "title": "\x1b]0;root@prod\x07",
    "clear the screen": "\x1b[2J\x1b[H",
    "one byte commands": "\x9b2J\x90q\x9c",
    "overwrite the line": "failed\rsucceeded",
    "backspace": "bad\b\b\bgood",
    "order of writing": "\u202etxt.exe\u2066",
    "line separators": "a\u2028b\u2029c",
    "half a character": "a\ud83d",
}
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_text_drives_no_terminal(attack: str, capsys: pytest.CaptureFixture[str]) -> None:
    echo(attack)
    written = io.StringIO()
    terminal = Terminal(file=written, piped_width=100)
    terminal.print(attack, markup=False)
    terminal.print(Text.assemble(("prompt ", "bold"), attack))
    table = Table(attack)
    table.add_row(attack)
    terminal.print(table)
    shown = capsys.readouterr().out + written.getvalue()
    assert "\ufffd" in shown
    assert COMMANDS.search(shown) is None


def test_a_terminal_keeps_its_own_colours() -> None:
    written = io.StringIO()
    Terminal(file=written, force_terminal=True, color_system="standard").print(
        "gate\x1b[2J", style="yellow", highlight=False
    )
    assert written.getvalue() == "\x1b[33mgate\ufffd[2J\x1b[0m\n"


@pytest.mark.parametrize("text", ["a\n\tb", "Zürich", "数据", "👩‍🔬", "שלום", "a\u00a0b"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_log_line_drives_no_terminal(formatter: logging.Formatter) -> None:
    for attack in ATTACKS.values():
        record = logging.LogRecord("x", logging.INFO, "x", 1, "said %s", (attack,), None)
        assert COMMANDS.search(formatter.format(record)) is None


def test_nothing_in_the_command_line_prints_by_another_way() -> None:
    room = Path(selfreward.cli.__file__).parent
    other = re.compile(r"click\.echo|(?<!\w)print\(|(?<!Terminal)\bConsole\(")
    texts = {path.name: re.sub(r"(console|terminal)\.print\(", "", path.read_text()) for path in room.rglob("*.py")}
    assert [name for name, text in texts.items() if other.search(text)] == ["terminal.py"]
