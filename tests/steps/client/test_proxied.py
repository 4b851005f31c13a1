"""A machine with proxies in its environment: the run's own servers are asked directly, outside ones through them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from selfreward_steps.client.client import InOrder, ServingClient
from selfreward_steps.contract import ServingEndpoint
from selfreward_steps.errors import InfrastructureError, PermanentError
from steps.client.sending import QUICK, requests, send
from steps.openai_server import OpenAIServer, running

DEAD = "http://127.0.0.1:9"


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that answers everything itself, with the addresses that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            asked.append(self.path)
            choice = {"index": 0, "message": {"content": "by proxy"}, "finish_reason": "stop"}
            body = json.dumps({"choices": [choice]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "environment",
    [
        {"HTTP_PROXY": DEAD},
        {"http_proxy": DEAD, "no_proxy": "localhost,127.0.0.0/8,::1"},
        {"ALL_PROXY": "socks://127.0.0.1:9"},
        {"ALL_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"},
    ],
    ids=["http", "no-proxy-as-a-network", "socks", "socks5"],
)
def test_the_runs_own_server_is_asked_directly(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with running(OpenAIServer()) as server:
        done, _ = send(server.url, requests(3))
    assert len(done) == 3


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("http://demo-m1.team.svc:8000/v1", "serving"),
        ("http://server.invalid/v1", "serving"),
        ("http://llm/v1", "judge.endpoint"),
    ],
)
async def test_services_never_meet_the_proxy(url: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", address)
        endpoint = ServingEndpoint(url=url, model="m", field=field, concurrency=1, request_timeout_seconds=0.2)
        client = ServingClient(endpoint, alive=lambda: None, policy=QUICK)
        with pytest.raises(InfrastructureError, match="does not answer"):
            _ = [each async for each in client.stream(InOrder(requests(1)))]
    assert asked == []


async def test_an_outside_judge_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = ServingEndpoint(url="http://judge.example.com/v1", model="m", field="judge.endpoint")
    with proxy() as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", address)
        client = ServingClient(endpoint, alive=lambda: None, policy=QUICK)
        answers = [each async for each in client.stream(InOrder(requests(1)))]
    assert asked == ["http://judge.example.com/v1/chat/completions"]
    assert len(answers) == 1


def test_an_outside_judge_behind_an_impossible_proxy_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")
    endpoint = ServingEndpoint(url="https://judge.example.com/v1", model="m", field="judge.endpoint")
    with pytest.raises(PermanentError, match="environment variable ALL_PROXY"):
        ServingClient(endpoint, alive=lambda: None)
