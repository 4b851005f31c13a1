"""SVG elements as text, escaped in one place. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def tag(name: str, content: str = "", /, **attributes: str | float) -> str:
    """An element; `kind` is its class, underscores stand for dashes, numbers are written to a tenth of a pixel.

    `content` is markup: a text goes through :func:`text` or :func:`html.escape` first.
    """
    shown = " ".join(f'{_name(key)}="{_value(value)}"' for key, value in attributes.items())
    return f"<{name} {shown}>{content}</{name}>" if content else f"<{name} {shown}/>"


def text(words: str, x: float, y: float, *, kind: str = "tick", anchor: str = "middle") -> str:
    """Text at a place of a drawing, escaped."""
    return tag("text", escape(words), kind=kind, x=x, y=y, text_anchor=anchor)


def drawing(label: str, width: float, height: float, parts: Iterable[str]) -> str:
    """The whole figure; `label` is what it says to those who do not see it."""
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", "".join(parts), viewBox=box, width=width, height=height, role="img", aria_label=label)


def _name(key: str) -> str:
    return "class" if key == "kind" else key.replace("_", "-")


def _value(value: str | float) -> str:
    return escape(value, quote=True) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
