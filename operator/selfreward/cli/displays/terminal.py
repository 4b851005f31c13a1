"""The way of all text to the terminal. Nothing in the command line prints by another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from selfreward.api.printable import printable

if TYPE_CHECKING:
    from typing import Any


def echo(text: str, *, err: bool = False) -> None:
    """Print a line, and nothing that a terminal would take for a command."""
    click.echo(printable(text), err=err)


class Terminal(Console):
    """A console whose texts hold no commands; its own colours and movements stay."""

    def __init__(self, *, piped_width: int | None = None, **options: Any) -> None:
        """`piped_width`: columns where the output is no terminal."""
        super().__init__(**options)
        if piped_width is not None and not self.is_terminal:
            self.width = piped_width

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of `renderable`, their texts made safe."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
