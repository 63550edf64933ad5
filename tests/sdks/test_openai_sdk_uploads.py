"""What the ``openai`` package sends as forms and gets as bytes: audio and files, untouched in both directions."""

import hashlib
import io
import time
from email.parser import BytesParser
from typing import Any

import pytest
from sdk_servers import Answer, Scripted, Seen, served
from sdk_support import KEY, async_client, at_once, check_private, error_body, needs, run

from scheduler import Scheduler

needs("openai")

from openai import AsyncOpenAI

pytestmark = pytest.mark.network

AUDIO = bytes(range(256)) * 400
RATE = 20


def form(seen: Seen) -> dict[str, bytes]:
    """Return the parts of a form by name, read by another parser than ours or the SDK's."""
    head = f"Content-Type: {seen.headers['content-type']}\r\n\r\n".encode()
    parts: Any = BytesParser().parsebytes(head + seen.body).get_payload()
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}


class Ears:
    """Transcribes by digest: ten at once, and ``RATE`` more each second."""

    def __init__(self) -> None:
        self.refused = 0
        self._level, self._at = 10.0, time.monotonic()

    def __call__(self, seen: Seen) -> Answer:
        now = time.monotonic()
        self._level = min(10.0, self._level + (now - self._at) * RATE)
        self._at = now
        if self._level < 1:
            self.refused += 1
            return Answer(429, error_body("Rate limit reached.", "requests", "rate_limit_exceeded"))
        self._level -= 1
        parts = form(seen)
        return Answer(body={"text": f"{parts['model'].decode()}: {hashlib.sha256(parts['file']).hexdigest()}"})


def test_audio_is_uploaded_whole() -> None:
    """Forms arrive byte by byte as they were, wait for the limits of the model that they name, and none is refused."""
    server = Scripted(ears := Ears())
    with served(server) as url:
        scheduler = Scheduler(limits={"whisper-1": {"rpm": {"amount": 60 * RATE, "burst": 10}}})

        async def main() -> list[str]:
            http_client = async_client(scheduler)
            async with AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", http_client=http_client) as client:
                answers = await at_once(
                    lambda number: client.audio.transcriptions.create(
                        model="whisper-1", file=(f"{number}.wav", io.BytesIO(AUDIO + bytes([number])))
                    ),
                    range(30),
                )
            return [answer.text for answer in answers]

        expected = [f"whisper-1: {hashlib.sha256(AUDIO + bytes([number])).hexdigest()}" for number in range(30)]
        assert run(main) == expected
    assert (ears.refused, len(server.seen)) == (0, 30)
    assert {scope.name for scope in scheduler.statistics().scopes if scope.sent} == {"whisper-1"}
    check_private(server.seen)


def test_an_upload_is_sent_again_whole() -> None:
    """After a failure the same bytes go once more: a form can be repeated."""
    failing = error_body("The server had an error.", "server_error", None)
    server = Scripted(lambda seen: Answer(500, failing) if len(server.seen) == 1 else Answer(body={"text": "heard"}))
    with served(server) as url:
        scheduler = Scheduler(limits={"whisper-1": {"rpm": 6000}})

        async def main() -> Any:
            http_client = async_client(scheduler)
            async with AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", http_client=http_client) as client:
                answer = await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", AUDIO))
                return answer.text

        assert run(main) == "heard"
    assert [form(seen)["file"] for seen in server.seen] == [AUDIO, AUDIO]


def test_speech_comes_as_it_is_made() -> None:
    """Bytes that are no JSON pass through untouched, chunk by chunk."""
    chunks = tuple(bytes([number]) * 5000 for number in range(6))
    server = Scripted(lambda _: Answer(chunks=chunks, pause=0.05, headers={"content-type": "audio/mpeg"}))
    with served(server) as url:
        scheduler = Scheduler()

        async def main() -> list[tuple[float, bytes]]:
            http_client = async_client(scheduler)
            async with (
                AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", http_client=http_client) as client,
                client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="hi") as answer,
            ):
                return [(time.monotonic(), chunk) async for chunk in answer.iter_bytes()]

        came = run(main)
    assert b"".join(chunk for _, chunk in came) == b"".join(chunks)
    assert came[-1][0] - came[0][0] > 0.15
    assert scheduler.statistics().in_flight == 0


def test_files() -> None:
    """What is no model's passes without waiting: files up, files down."""
    up = {
        "id": "file-1",
        "object": "file",
        "bytes": 3,
        "created_at": 1,
        "filename": "a",
        "purpose": "batch",
        "status": "x",
    }

    def answer(seen: Seen) -> Answer:
        if seen.method == "POST":
            return Answer(body={**up, "bytes": len(form(seen)["file"])})
        return Answer(body=AUDIO, headers={"content-type": "application/octet-stream"})

    server = Scripted(answer)
    with served(server) as url:
        scheduler = Scheduler(limits={"gpt-5-mini": {"rpm": 1}})

        async def main() -> None:
            http_client = async_client(scheduler)
            async with AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", http_client=http_client) as client:
                file = await client.files.create(file=("a.jsonl", AUDIO), purpose="batch")
                assert file.bytes == len(AUDIO)
                content = await client.files.content("file-1")
                assert content.read() == AUDIO

        run(main)
    assert len(server.seen) == 2
