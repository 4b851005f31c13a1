"""The commands that the documentation tells people to give: found in its pages, one by one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = ("selfreward", "kubectl", "helm", "make", "python", "kind", "minikube", "pip", "apt", "skopeo", "hf")
"""What a line of an indented block, or code within a line, begins with that is a command."""
_SHELLS: Final = ("bash", "sh", "shell", "console")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n)+")
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_PLACE = re.compile(r"\b(?:NAME|RUN|STEP|SHELL|FILE|NAMESPACE|FOLDER|OUT)\b")


@dataclass(frozen=True)
class Command:
    """One command, without its comment."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def pages() -> list[Path]:
    """README, the pages of `docs/`, and those of examples and chart."""
    beside = ["README.md", "CONTRIBUTING.md", "presets/README.md", "charts/selfreward/README.md"]
    return [
        *(ROOT / path for path in beside),
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "examples").rglob("*.md")),
    ]


def all_commands() -> list[Command]:
    """Every command of the pages and of the heads of the examples' files, each once."""
    found: dict[tuple[str, ...], Command] = {}
    for path in pages():
        for words in in_page(path.read_text(encoding="utf-8")):
            found.setdefault(words, Command(str(path.relative_to(ROOT)), words))
    for path in sorted((ROOT / "examples").rglob("*.yaml")):
        comment = re.findall(r"^# {3}(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        for words in _commands("\n".join(comment)):
            found.setdefault(words, Command(str(path.relative_to(ROOT)), words))
    return list(found.values())


def in_page(text: str) -> Iterator[tuple[str, ...]]:
    """The words of each command in a page of Markdown."""
    for language, block in _FENCED.findall(text):
        if language in _SHELLS:
            yield from _commands(block)
    rest = _FENCED.sub("", text)
    for block in _INDENTED.findall(rest):
        if any(_is_command(line.strip()) for line in block.splitlines()):
            yield from _commands(block)
    for code in _INLINE.findall(_INDENTED.sub("", rest)):
        line = " ".join(code.split())
        if _is_command(line):
            yield from _commands(line)


def _is_command(line: str) -> bool:
    program, _, rest = line.partition(" ")
    return program in PROGRAMS and bool(rest)


def _commands(block: str) -> Iterator[tuple[str, ...]]:
    for line in re.sub(r"\\\n\s*", " ", block).splitlines():
        line = re.sub(r"(?:^|\s)#\s.*", "", line).replace("…", "").strip()
        if line.startswith("source <("):
            line = line.removeprefix("source <(").removesuffix(")")
        for part in re.split(r" (?:&&|\|) | &$", line):
            if part.strip():
                yield from _alternatives(tuple(shlex.split(part)))


def _alternatives(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """`suspend|resume NAME` is two commands."""
    for index, word in enumerate(words):
        if re.fullmatch(r"\w+(\|\w+)+", word):
            for each in word.split("|"):
                yield (*words[:index], each, *words[index + 1 :])
            return
    yield words


def filled(words: tuple[str, ...]) -> tuple[str, ...]:
    """With names in the places that the docs leave open."""
    names = {"STEP": "dpo-1", "SHELL": "bash", "FILE": "run.yaml", "NAMESPACE": "research", "FOLDER": "folder"}
    return tuple(_PLACE.sub(lambda match: names.get(match.group(), "my-run"), word) for word in words)
