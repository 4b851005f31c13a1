"""An OpenAI-compatible server that plays a model: real sockets, deterministic answers, scripted faults.

Tests need a server that can be late, wrong, broken and gone on demand, which no engine offers. It speaks the
part of the API the steps use, answers from the messages and the seed alone (choice i of seed s is what seed
s + i alone would give, as vLLM does it), and plays the three parts of a self-rewarding run: it answers, judges
and writes new prompts. Standard library only, so that it starts in a blink:

    python tests/steps/openai_server.py --port 8000 --model tiny [--delay 0.01] [--faults '[{"kind": "reset"}]']
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from plausible_model import Body, Brain, cut, draw_for, first_token, last_message, plausible
from server_faults import Fault, FaultKind, Samples, error_body


@dataclass(frozen=True)
class Seen:
    """One completion request as it arrived; `status` is 0 where it got no proper answer."""

    body: Body
    status: int
    authorization: str | None

    @property
    def prompt(self) -> str:
        return last_message(self.body)


class OpenAIServer:
    """The server itself; `requests`, `peak` and `in_flight` may be read from any thread."""

    def __init__(
        self,
        model: str = "tiny",
        *,
        brain: Brain = plausible,
        faults: Sequence[Fault] = (),
        delay: float | Callable[[Body], float] = 0.0,
        samples: Samples = Samples.MANY,
        logprobs: bool = True,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        completions: Callable[[Body], Body] | None = None,
        max_model_len: int | None = None,
        refuses: Mapping[str, Body] | None = None,
        room: int | None = None,
    ) -> None:
        self.model = model
        self.brain = brain
        self.faults = list(faults)
        self.delay = delay
        self.samples = samples
        self.logprobs = logprobs
        self.api_key = api_key
        self.host = host
        self.completions = completions
        """Makes the one choice of `/v1/completions` from the body; without it there is no such path."""
        self.max_model_len = max_model_len
        """Said by `/v1/models`, as vLLM does."""
        self.refuses = dict(refuses or {})
        """Parameters that end in status 400, with the error's own words."""
        self.room = room
        """Requests that it runs at once; of more `/metrics` says, as vLLM does, that they wait. None: no such path."""
        self.requests: list[Seen] = []
        self.in_flight = 0
        self.peak = 0
        self.port = 0
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, port: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
        listener = await asyncio.start_server(self._accept, self.host, port, backlog=4096, limit=1 << 26)
        self.port = listener.sockets[0].getsockname()[1]
        ready()
        await stop.wait()
        listener.close()
        # A connection accepted a moment ago has no task of ours yet; left alone, its client would wait for ever.
        await asyncio.sleep(0.05)
        for _ in range(100):
            accepting = asyncio.all_tasks() - {asyncio.current_task()} - self._connections.keys()
            if not accepting:
                break
            await asyncio.wait(accepting, timeout=0.05)
        connections = dict(self._connections)
        for task, writer in connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connection(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The peer may go at any moment.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while await self._exchange(reader, writer):
                pass

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when the connection must not be used again."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        if (method, path) == ("GET", "/v1/models"):
            about = {"id": self.model, "object": "model"}
            about |= {} if self.max_model_len is None else {"max_model_len": self.max_model_len}
            return await self._send(writer, 200, {"object": "list", "data": [about]})
        if (method, path) == ("GET", "/health"):
            return await self._send(writer, 200, {})
        if (method, path) == ("GET", "/metrics") and self.room is not None:
            lines = "# TYPE vllm:num_requests_waiting gauge\n"
            lines += f'vllm:num_requests_waiting{{engine="0"}} {float(max(0, self.in_flight - self.room))}\n'
            return await self._send_bytes(writer, 200, lines.encode(), {"content-type": "text/plain"})
        if (method, path) == ("GET", "/stats"):
            return await self._send(writer, 200, {"requests": len(self.requests), "peak": self.peak})
        known = {"/v1/chat/completions"} if self.completions is None else {"/v1/chat/completions", "/v1/completions"}
        if method != "POST" or path not in known:
            return await self._send(writer, 404, error_body("Not Found"))
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            return await self._completion(json.loads(raw), headers.get("authorization"), writer)
        finally:
            self.in_flight -= 1

    async def _completion(self, body: Body, authorization: str | None, writer: asyncio.StreamWriter) -> bool:
        def note(status: int) -> None:
            self.requests.append(Seen(body, status, authorization))

        refusal = self._refusal(body, authorization)
        if refusal is not None:
            note(refusal[0])
            return await self._send(writer, refusal[0], error_body(refusal[1]))
        if (refused := next((name for name in self.refuses if name in body), None)) is not None:
            note(400)
            error = self.refuses[refused]
            return await self._send(writer, 400, error if "detail" in error else {"error": error})
        fault = self._fault_for(body)
        if fault is not None and fault.kind is not FaultKind.SLOW:
            note(fault.status if fault.kind is FaultKind.STATUS else 0)
            return await self._misbehave(fault, body, writer)
        await asyncio.sleep(self.delay(body) if callable(self.delay) else self.delay)
        if fault is not None:
            await asyncio.sleep(fault.seconds)
        note(200)
        return await self._send(writer, 200, self._answer(body))

    def _refusal(self, body: Body, authorization: str | None) -> tuple[int, str] | None:
        if self.api_key is not None and authorization != f"Bearer {self.api_key}":
            return 401, "Incorrect API key provided"
        if body.get("model") != self.model:
            return 404, f"The model `{body.get('model')}` does not exist."
        if any(message["role"] == "system" for message in body.get("messages", ())):
            return 400, "System role not supported"
        if self.samples is Samples.REJECT and body.get("n", 1) > 1:
            return 400, "n must be 1"
        return None

    def _fault_for(self, body: Body) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.match in last_message(body):
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    async def _misbehave(self, fault: Fault, body: Body, writer: asyncio.StreamWriter) -> bool:
        match fault.kind:
            case FaultKind.STATUS:
                extra = {} if fault.retry_after is None else {"retry-after": fault.retry_after}
                body = error_body(fault.message) if fault.error is None else {"error": fault.error}
                return await self._send(writer, fault.status, body, extra)
            case FaultKind.RESET:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{")
                await writer.drain()
                writer.transport.abort()
                return False
            case FaultKind.HANG:
                await asyncio.Event().wait()
            case FaultKind.NONSENSE:
                return await self._send_bytes(writer, 200, b"<html>502 Bad Gateway</html>", {})
            case FaultKind.EMPTY:
                return await self._send(writer, 200, {"object": "chat.completion"})
            case FaultKind.SHORT:
                completion = self._answer(body)
                completion["choices"].pop()
                return await self._send(writer, 200, completion)
        raise AssertionError(fault.kind)

    def _answer(self, body: Body) -> Body:
        if "prompt" in body and self.completions is not None:
            return {"object": "text_completion", "choices": [{"index": 0, **self.completions(body)}]}
        count = 1 if self.samples is Samples.ONE else int(body.get("n") or 1)
        choices, tokens = [], 0
        for index in range(count):
            reply = self.brain(body, draw_for(body, index))
            text, reason, used = cut(reply.text, body)
            tokens += used
            message = {"role": "assistant", "content": text}
            wanted = bool(body.get("logprobs")) and self.logprobs
            choices.append(
                {
                    "index": index,
                    "message": message,
                    "finish_reason": reason,
                    "logprobs": first_token(reply, int(body.get("top_logprobs") or 0)) if wanted else None,
                }
            )
        usage = {"prompt_tokens": len(last_message(body).split()), "completion_tokens": tokens}
        return {"id": "x", "object": "chat.completion", "model": self.model, "choices": choices, "usage": usage}

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, body: Body, headers: dict[str, str] | None = None
    ) -> bool:
        return await self._send_bytes(writer, status, json.dumps(body).encode(), headers or {})

    async def _send_bytes(
        self, writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str]
    ) -> bool:
        lines = {"content-type": "application/json", "content-length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"HTTP/1.1 {status} Scripted\r\n{head}\r\n".encode() + body)
        await writer.drain()
        return True


@contextlib.contextmanager
def running(server: OpenAIServer, port: int = 0) -> Iterator[OpenAIServer]:
    """Serve from a thread of this process until the block ends."""
    ready, loops = threading.Event(), []
    stop: list[asyncio.Event] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        stop.append(asyncio.Event())
        await server.serve(port, ready.set, stop[0])

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="openai-server", daemon=True)
    thread.start()
    assert ready.wait(10), "the server did not start"
    try:
        yield server
    finally:
        loops[0].call_soon_threadsafe(stop[0].set)
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 in a pod, whose probes come from outside")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one; it is printed")
    parser.add_argument("--model", required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--samples", type=Samples, default=Samples.MANY, choices=list(Samples))
    parser.add_argument("--no-logprobs", action="store_true")
    parser.add_argument("--api-key")
    parser.add_argument("--faults", default="[]", help=f"JSON list of {list(asdict(Fault(FaultKind.RESET)))}")
    options = parser.parse_args()
    faults = [Fault(**{**rule, "kind": FaultKind(rule["kind"])}) for rule in json.loads(options.faults)]
    server = OpenAIServer(
        options.model,
        faults=faults,
        delay=options.delay,
        samples=options.samples,
        logprobs=not options.no_logprobs,
        api_key=options.api_key,
        host=options.host,
    )

    async def until_told() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await server.serve(options.port, lambda: print(f"serving {options.model} at {server.url}", flush=True), stop)

    asyncio.run(until_told())


if __name__ == "__main__":
    main()
