"""A hub on the loopback that takes pushes: the requests with which the hub's client makes a repository and fills it.

Large files go by git-lfs's protocol, as to a hub without Xet.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from steps.loopback import listening

TOKEN = "hf_writes"
_REPOSITORY = r"(?P<kind>models|datasets)/(?P<name>[\w.-]+/[\w.-]+)"


@dataclass
class Repository:
    """One repository: its files by their path."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    """Their messages."""


@dataclass
class Hub:
    """What was pushed."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    """By `models/OWNER/NAME` or `datasets/OWNER/NAME`."""
    large: dict[str, bytes] = field(default_factory=dict)
    """Large files by their sha256."""
    uploads: int = 0
    """How many large files were sent."""
    refuse: int = 0
    """Answer every commit with this status."""
    pages: dict[str, bytes] = field(default_factory=dict)
    """Bodies to answer with 200 where the path holds the key, as a proxy's page of its own."""
    elsewhere: str = ""
    """Send whoever makes a repository to this address."""
    url: str = ""


@contextmanager
def taking(hub: Hub) -> Iterator[Hub]:
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
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        body, oid = self._body(), self.path.rpartition("/")[2]
        self.hub.large[oid] = body
        self.hub.uploads += 1
        self._send(200, {})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self) -> None:
        body, path = self._body(), urlsplit(self.path).path
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(401, {"error": "Invalid username or password."})
        if (page := next((page for part, page in self.hub.pages.items() if part in path), None)) is not None:
            return self._write(200, page, {"Content-Type": "text/html"})
        if self.hub.elsewhere and path == "/api/repos/create":
            return self._write(307, b"", {"Location": self.hub.elsewhere + path})
        if path == "/api/validate-yaml":
            return self._send(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if found := re.fullmatch(rf"/api/{_REPOSITORY}(?P<rest>/.*)?", path):
            return self._repository(f"{found['kind']}/{found['name']}", found["rest"] or "", body)
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        return self._send(404, {"error": path})

    def _create(self, asked: dict[str, Any]) -> None:
        kind = "datasets" if asked.get("type") == "dataset" else "models"
        name = f"{asked['organization']}/{asked['name']}"
        if f"{kind}/{name}" in self.hub.repositories:
            return self._send(409, {"error": "You already created this repo", "url": f"{self.hub.url}/{name}"})
        self.hub.repositories[f"{kind}/{name}"] = Repository(
            asked.get("visibility") == "private" or bool(asked.get("private"))
        )
        return self._send(200, {"url": f"{self.hub.url}/{'datasets/' if kind == 'datasets' else ''}{name}", "id": name})

    def _repository(self, key: str, rest: str, body: bytes) -> None:
        repository = self.hub.repositories.get(key)
        if repository is None:
            return self._send(404, {"error": "Repository not found"})
        if rest.startswith("/preupload/"):
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            return self._send(200, {"files": modes})
        if rest.startswith("/tree/"):
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": f"{place:040x}"}
                for place, (name, content) in enumerate(repository.files.items())
            ]
            return self._send(200, listed)
        if rest.startswith("/commit/"):
            return self._commit(key, [json.loads(line) for line in body.splitlines()])
        return self._send(200, {"id": key.partition("/")[2], "private": repository.private, "sha": "0" * 40})

    def _batch(self, asked: dict[str, Any]) -> None:
        missing = [each for each in asked["objects"] if each["oid"] not in self.hub.large]
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.hub.url}/large/{each['oid']}"}}} for each in missing
        ] + [each for each in asked["objects"] if each not in missing]
        self._send(200, {"transfer": "basic", "objects": objects}, "application/vnd.git-lfs+json")

    def _commit(self, key: str, lines: list[dict[str, Any]]) -> None:
        repository = self.hub.repositories[key]
        if self.hub.refuse:
            return self._send(self.hub.refuse, {"error": "not this time"})
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    repository.commits.append(value["summary"])
                case "file":
                    repository.files[value["path"]] = base64.b64decode(value["content"])
                case "deletedFile":
                    del repository.files[value["path"]]
                case "lfsFile":
                    repository.files[value["path"]] = self.hub.large[value["oid"]]
        oid = f"{len(repository.commits):040x}"
        return self._send(
            200,
            {
                "success": True,
                "commitOid": oid,
                "commitUrl": f"{self.hub.url}/{key.removeprefix('models/')}/commit/{oid}",
            },
        )

    def _send(self, status: int, value: Any, kind: str = "application/json") -> None:
        self._write(status, json.dumps(value).encode(), {"Content-Type": kind})

    def _write(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
