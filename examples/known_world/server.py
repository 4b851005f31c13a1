"""An OpenAI-compatible server of a tiny model, for `spec.serving.command`: an engine's start costs more than the world.

It samples from the weights in the folder it is given, many requests in one batch, with the temperature, nucleus, seeds
and log-probabilities that were asked for. Choice i of seed s is what seed s + i alone would give, as vLLM does it.

    python examples/known_world/server.py --model-dir DIR --name m1 --port 8000
"""

from __future__ import annotations

import argparse
import json
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MOST_ROWS = 256
"""Rows of one batch."""


@dataclass(frozen=True)
class Row:
    """One completion to be sampled."""

    prompt: list[int]
    temperature: float
    top_p: float
    max_tokens: int
    seed: int


@dataclass(frozen=True)
class Sampled:
    """Tokens without the end; `top` has the first token's alternatives by log-probability, likeliest first."""

    tokens: list[int]
    ended: bool
    top: list[tuple[int, float]]


class Engine:
    """The model, and the sampling of batches."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder).to(self._device).eval()
        self._end = self.tokenizer.eos_token_id

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """The tokens of a chat, up to where the assistant speaks."""
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        tokens: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens

    @torch.inference_mode()
    def sample(self, rows: Sequence[Row]) -> list[Sampled]:
        """One completion a row. The rows stand right-aligned in one batch, their padding masked."""
        width, steps = max(len(row.prompt) for row in rows), max(row.max_tokens for row in rows)
        pad = self.tokenizer.pad_token_id
        tokens = self._tensor([[pad] * (width - len(row.prompt)) + row.prompt for row in rows])
        mask = self._tensor([[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in rows])
        luck = torch.stack([_luck(row, steps) for row in rows]).to(self._device)
        positions, cache, first = (mask.cumsum(1) - 1).clamp(min=0), None, torch.empty(0)
        sampled = self._tensor([[] for _ in rows])
        running = torch.ones(len(rows), dtype=torch.bool, device=self._device)
        for step in range(steps):
            seen = self._model(
                input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
            )
            cache, logits = seen.past_key_values, seen.logits[:, -1].float()
            first = logits.log_softmax(-1) if step == 0 else first
            chosen = torch.where(running, drawn(logits, rows, luck[:, step]), self._end)
            sampled = torch.cat([sampled, chosen[:, None]], 1)
            running &= chosen != self._end
            if not running.any():
                break
            tokens, positions = chosen[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, torch.ones_like(tokens)], 1)
        return list(map(self._finished, rows, sampled.tolist(), first))

    def _finished(self, row: Row, tokens: list[int], first: torch.Tensor) -> Sampled:
        kept = tokens[: row.max_tokens]
        ended = self._end in kept
        values, indices = first.topk(min(20, len(first)))
        top = list(zip(indices.tolist(), values.tolist(), strict=True))
        return Sampled(kept[: kept.index(self._end)] if ended else kept, ended, top)

    def _tensor(self, values: list[list[int]]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.long, device=self._device)


def drawn(logits: torch.Tensor, rows: Sequence[Row], luck: torch.Tensor) -> torch.Tensor:
    """A token a row: the likeliest at temperature 0, else drawn from the nucleus by `luck`, uniform in [0, 1).

    `logits` is rows × vocabulary; the nucleus is the fewest likeliest tokens that reach `top_p` together.
    """
    temperature = logits.new_tensor([row.temperature for row in rows])[:, None]
    share = logits.new_tensor([row.top_p for row in rows])[:, None]
    likeliest, order = (logits / temperature.clamp(min=1e-6)).softmax(-1).sort(dim=-1, descending=True)
    before = likeliest.cumsum(-1) - likeliest
    nucleus = likeliest.masked_fill(before >= share, 0)
    reached = nucleus.cumsum(-1)
    place = (reached <= luck[:, None] * reached[:, -1:]).sum(-1).clamp(max=logits.shape[-1] - 1)
    place = torch.where(temperature[:, 0] == 0, 0, place)
    return order.gather(1, place[:, None])[:, 0]


def _luck(row: Row, steps: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(row.seed)
    return torch.rand(steps, generator=generator)


class Batches:
    """Gathers the rows of requests that wait at the same time, and samples them together, in a thread of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._waiting: queue.SimpleQueue[tuple[list[Row], Future[list[Sampled]]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="sampling", daemon=True).start()

    def sample(self, rows: list[Row]) -> list[Sampled]:
        """Wait for the rows' turn; called from any thread."""
        future: Future[list[Sampled]] = Future()
        self._waiting.put((rows, future))
        return future.result()

    def _work(self) -> None:
        while True:
            work = list(self._next_batch())
            try:
                done = iter(self.engine.sample([row for rows, _ in work for row in rows]))
            except RuntimeError as error:
                for _, future in work:
                    future.set_exception(error)
                continue
            for rows, future in work:
                future.set_result(list(islice(done, len(rows))))

    def _next_batch(self) -> Iterator[tuple[list[Row], Future[list[Sampled]]]]:
        work = self._waiting.get()
        count = len(work[0])
        yield work
        while count < MOST_ROWS and not self._waiting.empty():
            work = self._waiting.get()
            count += len(work[0])
            yield work


def completion(batches: Batches, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to one `/v1/chat/completions` body."""
    engine = batches.engine
    prompt = engine.prompt(body["messages"])
    seed = int(body.get("seed") or 0)
    rows = [
        Row(
            prompt,
            float(body.get("temperature", 1.0)),
            float(body.get("top_p", 1.0)),
            int(body.get("max_tokens") or 64),
            seed + index,
        )
        for index in range(int(body.get("n") or 1))
    ]
    sampled = batches.sample(rows)
    return {
        "object": "chat.completion",
        "model": name,
        "choices": [_choice(engine, index, each, body) for index, each in enumerate(sampled)],
        "usage": {
            "prompt_tokens": len(prompt),
            "completion_tokens": sum(len(each.tokens) + each.ended for each in sampled),
        },
    }


def _choice(engine: Engine, index: int, sampled: Sampled, body: dict[str, Any]) -> dict[str, Any]:
    choice: dict[str, Any] = {
        "index": index,
        "message": {"role": "assistant", "content": engine.tokenizer.decode(sampled.tokens, skip_special_tokens=True)},
        "finish_reason": "stop" if sampled.ended else "length",
    }
    if body.get("logprobs"):
        words = [
            {"token": engine.tokenizer.convert_ids_to_tokens(token), "logprob": logprob, "bytes": None}
            for token, logprob in sampled.top[: int(body.get("top_logprobs") or 0)]
        ]
        choice["logprobs"] = {"content": [{**words[0], "top_logprobs": words}] if words else []}
    return choice


def handler(batches: Batches, name: str) -> type[BaseHTTPRequestHandler]:
    """The HTTP side: `/v1/models` and `/v1/chat/completions`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            known = self.path == "/v1/models"
            self._send(200 if known else 404, {"object": "list", "data": [{"id": name, "object": "model"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path != "/v1/chat/completions" or body.get("model") != name:
                self._send(404, {"error": {"message": f"this is {name}, and it only completes chats"}})
                return
            self._send(200, completion(batches, name, body))

        def _send(self, status: int, body: dict[str, Any]) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: object) -> None:
            """A line a request would be the longest log of the run."""

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-dir", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 in a pod")
    options = parser.parse_args()
    torch.set_num_threads(1)
    batches = Batches(Engine(options.model_dir))
    server = ThreadingHTTPServer((options.host, options.port), handler(batches, options.name))
    server.daemon_threads = True
    print(f"serving {options.name} at port {server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
