"""Answers are shaped as the provider's, whole and in pieces."""

import base64
import json
import math
import struct
import zlib
from typing import Any

import httpx
import pytest
from simulator_support import asked, chat, client_of, on_virtual_time, problem

from scheduler.simulator import Simulator, World

RESPONSES, COMPLETIONS, EMBEDDINGS = "/v1/responses", "/v1/completions", "/v1/embeddings"


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return the data of a stream's events; the stream must end as it should."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(text) for text in data if text != "[DONE]"]


def test_a_chat_has_its_choices_and_usage() -> None:
    """Each choice has text of the length that usage counts."""
    (answer,) = asked(World(output=25), chat("x" * 90, n=3))
    body = answer.json()
    assert (body["object"], body["model"]) == ("chat.completion", "gpt-5-mini")
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert all(len(choice["message"]["content"]) == 100 for choice in body["choices"])
    assert {choice["finish_reason"] for choice in body["choices"]} == {"stop"}
    usage = body["usage"]
    assert usage["completion_tokens"] == 75
    assert usage["total_tokens"] == usage["prompt_tokens"] + 75
    assert 20 <= usage["prompt_tokens"] <= 30


def test_max_tokens_cuts_the_answer() -> None:
    """An answer that would be longer ends for its length."""
    (answer,) = asked(World(output=25), chat(max_completion_tokens=7))
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert answer.json()["usage"]["completion_tokens"] == 7


def test_headers_name_the_request_and_the_organization() -> None:
    """Every answer can be told from every other."""
    one, other = asked(World(organization="org-x"), chat(), chat())
    assert one.headers["openai-organization"] == "org-x"
    assert one.headers["openai-version"] == "2020-10-01"
    assert one.headers["openai-processing-ms"] == "0"
    assert one.headers["x-request-id"].startswith("req_")
    assert one.headers["x-request-id"] != other.headers["x-request-id"]


@pytest.mark.parametrize("include", [True, False])
def test_a_chat_in_pieces_is_the_whole_chat(include: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The pieces add up, and usage comes last where it was asked for."""
    whole, stream = asked(
        World(output=25), chat(n=2), chat(n=2, stream=True, stream_options={"include_usage": include})
    )
    chunks = events(stream)
    assert stream.text.endswith("data: [DONE]\n\n")
    texts = ["", ""]
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == [choice["message"]["content"] for choice in whole.json()["choices"]]
    assert ("usage" in chunks[0]) == include
    if include:
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"] == whole.json()["usage"]


def test_a_completion_in_pieces_is_the_whole_completion() -> None:
    """Several prompts have a choice each."""
    body = {"model": "m", "prompt": ["a", "b"]}
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    whole, stream = asked(World(), body, streamed, path=COMPLETIONS)
    texts = ["", ""]
    for choice in (choice for chunk in events(stream) for choice in chunk["choices"]):
        texts[choice["index"]] += choice["text"]
    assert texts == [choice["text"] for choice in whole.json()["choices"]]
    assert events(stream)[-1]["usage"] == whole.json()["usage"]


def test_a_response_in_pieces_is_the_whole_response() -> None:
    """Events are numbered, pieces add up, and the last event carries the response."""
    body = {"model": "m", "input": [{"role": "user", "content": "hi"}], "instructions": "be kind"}
    whole, stream = asked(World(), body, {**body, "stream": True}, path=RESPONSES)
    steps = events(stream)
    assert [step["sequence_number"] for step in steps] == list(range(len(steps)))
    assert steps[0]["type"] == "response.created"
    assert steps[-1]["type"] == "response.completed"
    text = "".join(step["delta"] for step in steps if step["type"] == "response.output_text.delta")
    assert text == whole.json()["output"][0]["content"][0]["text"]
    assert steps[-1]["response"]["usage"] == whole.json()["usage"]


def test_a_response_that_is_cut_is_incomplete() -> None:
    """It says why."""
    (answer,) = asked(World(), {"model": "m", "input": "hi", "max_output_tokens": 16}, path=RESPONSES)
    assert answer.json()["status"] == "incomplete"
    assert answer.json()["incomplete_details"] == {"reason": "max_output_tokens"}
    assert answer.json()["usage"]["output_tokens"] == 16


def test_embeddings_are_unit_vectors_that_depend_on_their_text() -> None:
    """The same text has the same vector, in both encodings, of the length that was asked for."""
    body = {"model": "m", "input": ["a", "b", "a"], "dimensions": 5}
    plain, coded = asked(World(), body, {**body, "encoding_format": "base64"}, path=EMBEDDINGS)
    vectors = [entry["embedding"] for entry in plain.json()["data"]]
    assert vectors[0] == vectors[2] != vectors[1]
    assert all(len(vector) == 5 and math.isclose(math.hypot(*vector), 1) for vector in vectors)
    first = struct.unpack("<5f", base64.b64decode(coded.json()["data"][0]["embedding"]))
    assert first == pytest.approx(vectors[0], abs=1e-6)
    (answer,) = asked(World(embedding_dimensions=3), {"model": "m", "input": "a"}, path=EMBEDDINGS)
    assert len(answer.json()["data"][0]["embedding"]) == 3


def test_images_are_images() -> None:
    """As many PNGs as were asked for, whose chunks have the checksums that they say."""
    (answer,) = asked(World(), {"model": "m", "prompt": "x", "n": 2}, path="/v1/images/generations")
    images = [base64.b64decode(entry["b64_json"]) for entry in answer.json()["data"]]
    assert len(images) == 2
    assert images[0].startswith(b"\x89PNG\r\n\x1a\n")
    place = 8
    while place < len(images[0]):
        (size,) = struct.unpack(">I", images[0][place : place + 4])
        chunk = images[0][place + 4 : place + 8 + size]
        assert images[0][place + 8 + size : place + 12 + size] == struct.pack(">I", zlib.crc32(chunk))
        place += size + 12


def test_moderations_judge_each_input() -> None:
    """Nothing is flagged."""
    (answer,) = asked(World(), {"model": "m", "input": ["a", "b"]}, path="/v1/moderations")
    assert [result["flagged"] for result in answer.json()["results"]] == [False, False]


def test_models_are_listed_by_name() -> None:
    """Exact names and members of shared pools are models; globs and pools are not."""
    simulator = Simulator(World(limits={"b": {}, "c*": {}, "pool": {}}, shared={"pool": ("a",)}))

    async def main() -> None:
        async with client_of(simulator) as client:
            body = (await client.get("/v1/models")).json()
            assert [model["id"] for model in body["data"]] == ["a", "b"]
            missing = await client.get("/v1/assistants")
            assert missing.status_code == 404
            assert problem(missing)["message"] == "Invalid URL (GET /v1/assistants)"

    on_virtual_time(main)


@pytest.mark.parametrize(
    ("key", "code", "words"),
    [
        ("", None, "You didn't provide"),
        ("Bearer wrong", "invalid_api_key", "Incorrect API key"),
        ("Bearer right", "", ""),
    ],
)
def test_a_key_is_asked_for(key: str, code: str | None, words: str) -> None:
    """A wrong or missing key is 401; the world does not show its key."""
    world = World(key="right")
    (answer,) = asked(world, chat(), headers={"Authorization": key} if key else None)
    if words:
        assert answer.status_code == 401
        assert problem(answer)["code"] == code
        assert problem(answer)["message"].startswith(words)
    else:
        assert answer.status_code == 200
    assert "right" not in repr(world)


@pytest.mark.parametrize("path", [RESPONSES, "/v1/chat/completions", EMBEDDINGS])
def test_monstrous_bodies_do_not_hurt(path: str) -> None:
    """A body of 50 MB is 413, deep nesting 400, and the simulator goes on."""
    simulator = Simulator(World())
    deep = b'{"model":"m","input":"x","messages":[{"content":"x"}],"a":'

    async def main() -> None:
        async with client_of(simulator) as client:
            assert (await client.post(path, content=b" " * 50_000_000)).status_code == 413
            for depth in (500, 900, 950, 990, 1000, 100_000):
                answer = await client.post(path, content=deep + b"[" * depth + b"]" * depth + b"}")
                assert answer.status_code in {200, 400}
            answer = await client.post(path, content=deep + b"7}")
            assert answer.status_code == 200

    on_virtual_time(main)
    assert simulator.report()["rejected"]["413"] == 1  # type: ignore[index]  # JSON
