"""The server that `transports.py` measures clients against: an answer after a while, over HTTP/1.1 and HTTP/2.

The first segment of a path is the delay in milliseconds, give or take half of it by chance; a body with `"stream"` gets
100 events, spread over the delay. Prints its two ports.
"""

import asyncio
import importlib
import random
import time
from typing import Any

PER_MINUTE = {"requests": 1_000_000, "tokens": 100_000_000}  # which hold nobody back
CHARGE = {"requests": 1, "tokens": 50}  # what each request asks for at most
FIELDS = (
    "content-type: application/json\r\nx-request-id: req_0123456789abcdef0123456789abcdef\r\n"
    "openai-processing-ms: 312\r\n{}date: Sun, 22 Nov 2026 10:00:00 GMT\r\nserver: cloudflare\r\n"
)
BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1795000000,"model":"gpt-5-mini","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"The answer is forty-two, as it always was."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":20,"completion_tokens":10,"total_tokens":30}}'
)
EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795000000,"model":"gpt-5-mini",'
    b'"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
EVENTS = 100
CHUNK = b"%x\r\n" % len(EVENT) + EVENT + b"\r\n"
END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Budget:
    """Token buckets like a provider's: a client that learns from headers is to find in them what it would there."""

    def __init__(self) -> None:
        """Begin full."""
        self.levels = {name: float(limit) for name, limit in PER_MINUTE.items()}
        self.instant = time.monotonic()

    def fields(self) -> bytes:
        """Charge a request, and return the headers of its answer."""
        now = time.monotonic()
        passed, self.instant = now - self.instant, now
        lines = ""
        for name, limit in PER_MINUTE.items():
            level = self.levels[name] = min(self.levels[name] + limit * passed / 60, limit) - CHARGE[name]
            reset = f"{(limit - level) * 60 / limit:.3f}s"
            lines += f"x-ratelimit-limit-{name}: {limit}\r\nx-ratelimit-remaining-{name}: {int(level)}\r\n"
            lines += f"x-ratelimit-reset-{name}: {reset}\r\n"
        return FIELDS.format(lines).encode()


BUDGET = Budget()


def after(target: bytes) -> float:
    """Return the seconds after which an answer is due."""
    return int(target.split(b"/")[1]) / 1000 * random.uniform(0.5, 1.5)


class Http1(asyncio.Protocol):
    """One connection; one request at a time."""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        self.words = b""

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self.words += data
        head, blank, body = self.words.partition(b"\r\n\r\n")
        if not blank:
            return
        _, _, rest = head.lower().partition(b"content-length: ")
        if len(body) < int(rest.partition(b"\r\n")[0] or 0):
            return
        self.words = b""
        loop = asyncio.get_running_loop()
        wait = after(head.split(b" ", 2)[1])
        begin = b"HTTP/1.1 200 OK\r\n" + BUDGET.fields()
        if b'"stream"' in body:
            begin = begin.replace(b"application/json", b"text/event-stream")
            self.transport.write(begin + b"transfer-encoding: chunked\r\n\r\n")
            loop.call_later(wait / EVENTS, self.go_on, EVENTS, wait / EVENTS)
        else:
            answer = begin + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
            loop.call_later(wait, self.transport.write, answer)

    def go_on(self, left: int, step: float) -> None:
        """Send the next event."""
        if self.transport.is_closing():
            return
        self.transport.write(CHUNK if left else END)
        if left:
            asyncio.get_running_loop().call_later(step, self.go_on, left - 1, step)


class Http2(asyncio.Protocol):
    """One connection, many streams."""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        configuration = importlib.import_module("h2.config").H2Configuration(client_side=False, header_encoding=None)
        self.connection = importlib.import_module("h2.connection").H2Connection(config=configuration)
        self.events = importlib.import_module("h2.events")
        self.targets: dict[int, bytes] = {}
        self.connection.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        for event in self.connection.receive_data(data):
            if isinstance(event, self.events.RequestReceived):
                self.targets[event.stream_id] = dict(event.headers)[b":path"]
            elif isinstance(event, self.events.DataReceived):
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, self.events.StreamEnded):
                wait = after(self.targets.pop(event.stream_id))
                asyncio.get_running_loop().call_later(wait, self.answer, event.stream_id, BUDGET.fields())
        self.flush()

    def answer(self, stream: int, lines: bytes) -> None:
        """Answer one request."""
        fields = [line.split(b": ", 1) for line in lines.strip().split(b"\r\n")]
        self.connection.send_headers(stream, [(b":status", b"200"), *((name, value) for name, value in fields)])
        self.connection.send_data(stream, BODY, end_stream=True)
        self.flush()

    def flush(self) -> None:
        """Send what is due."""
        self.transport.write(self.connection.data_to_send())


async def main() -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(kind, "127.0.0.1", 0, backlog=4096) for kind in (Http1, Http2)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await servers[0].serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
