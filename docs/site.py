"""The site's pages beyond `docs/` (`mkdocs.yml`, hooks): README, and what pages link to elsewhere in the repository.

Pages link to files by their place in the repository, as they must where the repository is read. Here the README becomes
the home, and each file that a page links to is brought along under its own path, so that every link of the site leads
somewhere and `mkdocs build --strict` checks all of them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"""(\]\(|(?:src|href|srcset)=")([^)\s"#:]+)(?=[)\s"#])""")
"""A relative address in Markdown or HTML: no scheme, its fragment left out."""
_CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what is reached from the pages of `docs/`, page by page."""
    waiting = [*_HOME, *(f"docs/{page.src_uri}" for page in files.documentation_pages())]
    seen = set(waiting)
    while waiting:
        path = waiting.pop(0)
        if files.get_file_from_path(_in_site(path)) is None:
            files.append(File.generated(config, _in_site(path), abs_src_path=str(ROOT / path)))
        if path.endswith(".md"):
            found = [target for target in _linked(path) if target not in seen]
            waiting += found
            seen |= set(found)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links by their place in the site."""
    path = _in_repository(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        target = _target(path, match.group(2))
        if target is None:
            return match.group()  # mkdocs says that it leads nowhere
        return match.group(1) + posixpath.relpath(_in_site(target), posixpath.dirname(page.file.src_uri) or ".")

    return "".join(_LINK.sub(moved, part) if not part.startswith("`") else part for part in _CODE.split(markdown))


def _linked(path: str) -> Iterator[str]:
    text = _CODE.sub("", (ROOT / path).read_text(encoding="utf-8"))
    for match in _LINK.finditer(text):
        if (target := _target(path, match.group(2))) is not None:
            yield target


def _target(path: str, link: str) -> str | None:
    """The file that a page at `path` links to; the README of a folder; None where there is nothing."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    if (ROOT / target).is_dir():
        target = posixpath.join(target, "README.md")
    return target if (ROOT / target).is_file() else None


_HOME = ("README.md", "docs/README.md")
"""What the home stands for, its text first: the other is the order of reading, which the site has as its navigation."""


def _in_site(path: str) -> str:
    return "index.md" if path in _HOME else path.removeprefix("docs/")


def _in_repository(uri: str) -> str:
    if uri == "index.md":
        return "README.md"
    return f"docs/{uri}" if (ROOT / "docs" / uri).is_file() else uri
