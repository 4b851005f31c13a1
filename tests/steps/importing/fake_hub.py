"""A hub on the loopback: the few requests with which the hub's client finds and brings a repository.

It answers as the real one does, refusals included, so that the real client runs against it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from steps.loopback import listening

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_PATH = re.compile(r"(?P<api>/api)?/?(?P<kind>models|datasets)?/?(?P<name>[\w.-]+/[\w.-]+)(?P<rest>/.*)?")


@dataclass
class Hub:
    """What the hub holds: folders by `models/OWNER/NAME` or `datasets/OWNER/NAME`."""

    repositories: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    """Repositories whose files want the token."""
    token: str = "hf_right"
    failing: bool = False
    """Answer 503 to everything."""
    requests: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve `hub` at `hub.url`."""

    class Handler(_Handler):
        pass

    Handler.hub = hub
    with listening(Handler) as hub.url:
        yield hub


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        self.hub.requests.append(format % args)

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = _PATH.fullmatch(unquote(urlsplit(self.path).path))
        if self.hub.failing:
            return self._refuse(503, "", "busy")
        if found is None:
            return self._refuse(404, "", "not a hub path")
        key = f"{found['kind'] or 'models'}/{found['name']}"
        folder = self.hub.repositories.get(key)
        if folder is None:
            return self._refuse(401, "", "Invalid username or password.")
        # As on the real hub, anyone may see what a gated repository holds.
        gated = key in self.hub.gated and "/resolve/" in self.path
        if gated and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._refuse(401, "GatedRepo", f"Access to {found['name']} is restricted.")
        revision = re.match(r"/(revision|tree|resolve|paths-info)/([^/]+)(.*)", found["rest"] or "")
        if revision and revision[2] not in ("main", COMMIT):
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision[2]}")
        what, inside = (revision[1], revision[3].strip("/")) if revision else ("revision", "")
        if what == "resolve":
            return self._file(folder, inside)
        if what == "revision":
            siblings = [{"rfilename": name} for name in _names(folder)]
            return self._json({"id": found["name"], "sha": COMMIT, "siblings": siblings, "tags": [], "private": False})
        names = _names(folder)
        if what == "paths-info":
            asked = json.loads(body)["paths"] if body.startswith(b"{") else [unquote(body.decode().split("=")[1])]
            names = [name for name in names if name in asked]
        return self._json([_entry(folder, name) for name in names if name.startswith(inside)])

    def _file(self, folder: Path, name: str) -> None:
        path = folder / name
        if not path.is_file():
            return self._refuse(404, "EntryNotFound", "Entry not found")
        content = path.read_bytes()
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        start, end = (int(span[1]), int(span[2] or len(content) - 1)) if span else (0, len(content) - 1)
        extra = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if span:
            extra["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        self._send(206 if span else 200, content[start : end + 1], "application/octet-stream", extra)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), "application/json", {"X-Repo-Commit": COMMIT})

    def _refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self._send(status, json.dumps({"error": message}).encode(), "application/json", headers)

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _entry(folder: Path, name: str) -> dict[str, Any]:
    content = (folder / name).read_bytes()
    return {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
