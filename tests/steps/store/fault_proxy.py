"""A proxy in front of the S3 server that misbehaves on demand, on real sockets.

A test says which requests are to go wrong, how, and how often; all others pass unchanged.
"""

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ALWAYS = 10**9

Act = Callable[["Handler"], None]


@dataclass
class Fault:
    """What happens to the next `times` requests of `method` whose path and query contain `part`."""

    method: str
    part: str
    act: Act
    times: int = 1
    met: int = 0

    def takes(self, method: str, path: str) -> bool:
        if self.met >= self.times or method != self.method or self.part not in path:
            return False
        self.met += 1
        return True


@dataclass
class Faults:
    """The proxy's address, the faults to come, and what was asked of it so far."""

    endpoint: str
    pending: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, method: str, part: str, act: Act, times: int = 1) -> Fault:
        fault = Fault(method, part, act, times)
        with self._lock:
            self.pending.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self.pending.clear()

    def meet(self, method: str, path: str) -> Act:
        with self._lock:
            self.seen.append(f"{method} {path}")
            for fault in self.pending:
                if fault.takes(method, path):
                    return fault.act
        return pass_on


class Handler(BaseHTTPRequestHandler):
    """One connection; `faults` and `upstream` are set by `fault_proxy`."""

    protocol_version = "HTTP/1.1"
    faults: Faults
    upstream: int
    body: bytes | None = None

    def handle_any(self) -> None:
        self.body = None
        act = self.faults.meet(self.command, self.path)
        try:
            act(self)
        except (BrokenPipeError, ConnectionResetError):
            # The client lost patience, as a test of timeouts wants it to.
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

    def read_body(self) -> bytes:
        if self.body is None:
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return self.body

    def forward(self) -> tuple[int, dict[str, str], bytes]:
        """The server's own answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            connection.request(self.command, self.path, self.read_body(), headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def answer(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        self.send_response_only(status)
        dropped = {"transfer-encoding", "connection", "content-length"}
        for name, value in headers.items():
            if name.lower() not in dropped:
                self.send_header(name, value)
        # The answer to HEAD names the length of a body that it does not have.
        named = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", named or str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def hang_up(self, *, reset: bool = False) -> None:
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: pytest shows what the tests assert."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that a fault closed under the server's feet are what is being tested."""


def pass_on(handler: Handler) -> None:
    handler.answer(*handler.forward())


def refuse(status: int, code: str) -> Act:
    """Answer with an S3 error; the server never hears of the request."""

    def act(handler: Handler) -> None:
        handler.read_body()
        xml = f"<Error><Code>{code}</Code><Message>on demand</Message></Error>".encode()
        handler.answer(status, {"Content-Type": "application/xml"}, xml)

    return act


def reset_while_uploading(handler: Handler) -> None:
    """Read half of the body, then reset the connection."""
    length = int(handler.headers.get("Content-Length", 0))
    handler.rfile.read(length // 2)
    handler.hang_up(reset=True)


def lose_answer(handler: Handler) -> None:
    """Have the server do it, and close the connection without a word."""
    handler.forward()
    handler.hang_up()


def never_answer(seconds: float) -> Act:
    """Have the server do it, and say nothing until the client has given up."""

    def act(handler: Handler) -> None:
        handler.forward()
        threading.Event().wait(seconds)
        handler.hang_up()

    return act


def tear(handler: Handler) -> None:
    """Send the headers and half of the body."""
    status, headers, body = handler.forward()
    handler.answer(status, headers, body[: len(body) // 2], length=len(body))
    handler.hang_up()


def shorten(handler: Handler) -> None:
    """Send half of the body and call it all, as a broken cache does."""
    status, headers, body = handler.forward()
    handler.answer(status, {k: v for k, v in headers.items() if k.lower() != "content-range"}, body[: len(body) // 2])


def flip_bit(handler: Handler) -> None:
    status, headers, body = handler.forward()
    middle = len(body) // 2
    handler.answer(status, headers, body[:middle] + bytes([body[middle] ^ 4]) + body[middle + 1 :])


def forget_condition(handler: Handler) -> None:
    """Pass the request on without If-None-Match, as a server does that does not know it."""
    del handler.headers["If-None-Match"]
    pass_on(handler)


def hold(reached: threading.Event, go: threading.Event) -> Act:
    """Tell that the request is here, and pass it on when told to."""

    def act(handler: Handler) -> None:
        handler.read_body()
        reached.set()
        if not go.wait(30):
            raise TimeoutError("the test never let the request go")
        pass_on(handler)

    return act


@contextmanager
def fault_proxy(upstream: int) -> Iterator[Faults]:
    server = Server(("127.0.0.1", 0), BaseHTTPRequestHandler)
    faults = Faults(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = type("Bound", (Handler,), {"faults": faults, "upstream": upstream})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
