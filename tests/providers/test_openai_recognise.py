"""Requests that somebody else has made, recognised: whose limits they draw on, and what they will be charged."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from scheduler.core.quota import Charge
from scheduler.providers.base import Call
from scheduler.providers.openai import OpenAI
from scheduler.providers.openai_charge import Endpoint
from scheduler.providers.openai_paths import route_of
from scheduler.tokens.text import ByteEstimate

CHAT = "/v1/chat/completions"
MODEL = "gpt-5-mini"
TEXT = "x" * 40
MESSAGES = [{"role": "user", "content": "x" * 36}]
IMAGE = {"type": "input_image", "image_url": "https://example.com/a.png"}


class Unused:
    """A counter that must not be asked."""

    def count(self, text: str, model: str) -> int:
        raise AssertionError("a tokenizer was asked")


OPENAI = OpenAI(Unused())


def recognise(
    path: str = CHAT,
    body: dict[str, Any] | None = None,
    method: str = "POST",
    size: int = 0,
    **headers: str,
) -> Call:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return OPENAI.recognise(method, path, fields, body, size)


@pytest.mark.parametrize(
    ("path", "body", "charge"),
    [
        (CHAT, {"messages": MESSAGES}, Charge(tokens=10)),
        (CHAT, {"messages": MESSAGES, "max_completion_tokens": 50, "n": 2}, Charge(tokens=100)),
        (CHAT, {"messages": [{"role": "user", "content": [IMAGE]}]}, Charge(tokens=766, images=1)),
        ("/v1/responses", {"input": TEXT, "reasoning": {"effort": "high"}}, Charge(tokens=10)),
        ("/v1/responses", {"input": TEXT, "max_output_tokens": 20}, Charge(tokens=20)),
        ("/v1/responses/compact", {"input": TEXT}, Charge(tokens=10)),
        ("/v1/completions", {"prompt": TEXT, "best_of": 3, "max_tokens": 16}, Charge(tokens=48)),
        ("/v1/embeddings", {"input": ["x"] * 9}, Charge(tokens=9)),
        ("/v1/moderations", {"input": TEXT}, Charge(tokens=10)),
        (
            "/v1/moderations",
            {"input": [{"type": "image_url", "image_url": {"url": "u"}}]},
            Charge(tokens=765, images=1),
        ),
        ("/v1/images/generations", {"prompt": TEXT, "n": 3}, Charge(tokens=10, images=3)),
        ("/v1/images/edits", {"prompt": TEXT, "n": "3"}, Charge(tokens=10, images=3)),
        ("/v1/images/edits", {"prompt": TEXT, "images": [{"file_id": "f"}] * 2}, Charge(tokens=10 + 2 * 765, images=1)),
        ("/v1/images/variations", {"n": "2"}, Charge(images=2)),
        ("/v1/audio/speech", {"input": TEXT, "voice": "alloy"}, Charge(tokens=10)),
        ("/v1/audio/transcriptions", {"prompt": TEXT}, Charge(tokens=10)),
        ("/v1/audio/transcriptions", {}, Charge()),
        ("/v1/audio/translations", {"temperature": "0"}, Charge()),
        ("/v1/videos", {"prompt": TEXT, "seconds": "8"}, Charge()),
        ("/v1/decisions", {"input": TEXT}, Charge(tokens=25)),
    ],
)
def test_what_goes_to_a_model(path: str, body: dict[str, Any], charge: Charge) -> None:
    """Each endpoint draws on its model's limits, with the charge that its fields make, as JSON or as a form."""
    call = recognise(path, {"model": MODEL} | body, size=100)
    assert (call.model, call.pool, call.charge, call.url) == (MODEL, "", charge, call.url)


@pytest.mark.parametrize(
    ("method", "path", "pool", "url"),
    [
        ("GET", "/v1/models", "models", "/v1/models"),
        ("GET", "/v1/models/gpt-5", "models", "/v1/models/{id}"),
        ("DELETE", "/v1/models/ft:gpt-4o:acme", "models", "/v1/models/{id}"),
        ("POST", "/v1/files", "files", "/v1/files"),
        ("GET", "/v1/files/file-1/content", "files", "/v1/files/{id}/content"),
        ("POST", "/v1/uploads/upload_1/parts", "uploads", "/v1/uploads/{id}/parts"),
        ("POST", "/v1/batches", "batches", "/v1/batches"),
        ("POST", "/v1/batches/batch_1/cancel", "batches", "/v1/batches/{id}/cancel"),
        ("POST", "/v1/fine_tuning/jobs", "fine_tuning", "/v1/fine_tuning/jobs"),
        ("GET", "/v1/fine_tuning/model_limits", "fine_tuning", "/v1/fine_tuning/model_limits"),
        ("POST", "/v1/vector_stores", "vector_stores", "/v1/vector_stores"),
        ("POST", "/v1/vector_stores/vs_1/search", "vector_stores", "/v1/vector_stores/{id}/search"),
        ("POST", "/v1/vector_stores/vs_1/files", "vector_stores/vs_1", "/v1/vector_stores/{id}/files"),
        ("GET", "/v1/vector_stores/vs_1/files/file-1", "vector_stores/vs_1", "/v1/vector_stores/{id}/files/{id}"),
        ("POST", "/v1/vector_stores/vs_1/file_batches", "vector_stores/vs_1", "/v1/vector_stores/{id}/file_batches"),
        ("POST", "/v1/conversations", "conversations", "/v1/conversations"),
        ("POST", "/v1/conversations/conv_1/items", "conversations", "/v1/conversations/{id}/items"),
        ("POST", "/v1/realtime/client_secrets", "realtime", "/v1/realtime/client_secrets"),
        ("POST", "/v1/realtime/sessions", "realtime", "/v1/realtime/sessions"),
        ("POST", "/v1/evals/eval_1/runs", "evals", "/v1/evals/{id}/runs"),
        ("POST", "/v1/assistants", "assistants", "/v1/assistants"),
        ("POST", "/v1/threads/thread_1/runs", "threads", "/v1/threads/{id}/runs"),
        ("GET", "/v1/videos/video_1/content", "videos", "/v1/videos/{id}/content"),
        ("POST", "/v1/videos/video_1/remix", "videos", "/v1/videos/{id}/remix"),
        ("GET", "/v1/responses/resp_1", "responses", "/v1/responses/{id}"),
        ("DELETE", "/v1/responses/resp_1", "responses", "/v1/responses/{id}"),
        ("POST", "/v1/responses/resp_1/cancel", "responses", "/v1/responses/{id}/cancel"),
        ("GET", "/v1/responses/resp_1/input_items", "responses", "/v1/responses/{id}/input_items"),
        ("POST", "/v1/responses/input_tokens", "responses", "/v1/responses/input_tokens"),
        ("GET", CHAT, "chat", CHAT),
        ("POST", f"{CHAT}/chatcmpl-1", "chat", f"{CHAT}/{{id}}"),
        ("GET", "/openai/v1/models", "models", "/v1/models"),
        ("GET", "/openai/deployments/mine/models/x", "models", "/v1/models/{id}"),
        ("GET", "/models", "models", "/v1/models"),
        ("GET", "/v1/unheard_of/things", "unheard_of", "/v1/{id}/{id}"),
        ("GET", "/", "", "/v1/"),
        ("OPTIONS", "", "", "/v1/"),
    ],
)
def test_what_goes_to_no_model(method: str, path: str, pool: str, url: str) -> None:
    """Managing and fetching is one request and no tokens, of a pool named by its resource; ids are hidden."""
    call = recognise(path, {"model": MODEL, "input": TEXT}, method, size=10_000)
    assert call == Call(method, url, "", Charge(), pool=pool)


@pytest.mark.parametrize(
    "path",
    [
        CHAT,
        "/chat/completions",
        "/openai/v1/chat/completions",
        "/api/v1/chat/completions",
        "/v1/openai/chat/completions",
        "/v1beta/openai/chat/completions",
        "/api/paas/v4/chat/completions",
        "/inference/chat/completions",
        "/v1/chat/completions/",
        "//v1//chat/completions",
        "/openai/deployments/another/extensions/chat/completions",
        "/v1/engines/another/chat/completions",
    ],
)
def test_prefixes(path: str) -> None:
    """An endpoint is known behind any prefix, with a version or without; a model in the path counts first."""
    call = recognise(path, {"model": MODEL, "messages": MESSAGES})
    assert (call.url, call.charge) == (CHAT, Charge(tokens=10))
    assert call.model == ("another" if "another" in path else MODEL)


@pytest.mark.parametrize(
    ("tier", "pool"),
    [
        ("flex", f"{MODEL}@flex"),
        ("priority", f"{MODEL}@priority"),
        ("fast", f"{MODEL}@priority"),
        ("scale", f"{MODEL}@scale"),
        ("ultrafast", f"{MODEL}@ultrafast"),
        *((tier, "") for tier in ("auto", "default", "", "?", None, 5, ["flex"], {"flex": 1})),
    ],
)
def test_service_tiers(tier: Any, pool: str) -> None:
    """A request of a service tier names a pool of its own; fast and priority are one, auto and default none."""
    body = {"model": MODEL, "messages": MESSAGES, "service_tier": tier}
    assert recognise(body=body).pool == pool
    assert OpenAI(ByteEstimate()).describe("POST", CHAT, body).pool == pool


@pytest.mark.parametrize(
    ("model", "characters", "text", "pool"),
    [
        ("gpt-4.1", 508_000, "x", ""),
        ("gpt-4.1", 516_000, "x", "gpt-4.1@long-context"),
        ("gpt-4.1", 180_000, "\u6f22", "gpt-4.1@long-context"),
        ("gpt-4.1-2025-04-14", 516_000, "x", "gpt-4.1-2025-04-14@long-context"),
        ("gpt-5.5", 1_080_000, "x", ""),
        ("gpt-5.5", 1_090_000, "x", "gpt-5.5@long-context"),
        ("gpt-4.1-mini", 1_000_000, "x", ""),
        ("gpt-6-sol", 2_000_000, "x", ""),
    ],
)
def test_long_context(model: str, characters: int, text: str, pool: str) -> None:
    """Above the published length a request draws on another pool; where none is published, on its model's."""
    body = {"model": model, "messages": [{"role": "user", "content": text * characters}]}
    assert recognise(body=body).pool == pool
    assert OpenAI(ByteEstimate()).describe("POST", CHAT, body).pool == pool


def test_pictures_make_a_request_long() -> None:
    """What pictures are billed counts towards the length."""
    content = [IMAGE] * 170
    assert recognise(body={"model": "gpt-4.1", "messages": [{"content": content}]}).pool == "gpt-4.1@long-context"


def test_organization_and_project() -> None:
    """An organization that headers name has limits of its own; a project is told apart from it."""
    body = {"model": MODEL, "messages": MESSAGES, "service_tier": "flex"}
    call = recognise(body=body, OpenAI_Organization="org-1", openai_project="proj_1")
    assert (call.pool, call.project) == (f"{MODEL}@flex@org-1", "proj_1")
    assert recognise("/v1/files", method="GET", OPENAI_ORGANIZATION="org-1").pool == "files@org-1"
    call = recognise(body=body, OpenAI_Organization="", openai_project="")
    assert (call.pool, call.project) == (f"{MODEL}@flex", None)
    for odd in ("x" * 101, "org\n1"):
        assert recognise(body=body, OpenAI_Organization=odd).pool == f"{MODEL}@flex"


def test_all_at_once() -> None:
    """Tier, length and organization stand in a fixed order."""
    body = {"model": "gpt-4.1", "messages": [{"content": "x" * 516_000}], "service_tier": "fast"}
    assert recognise(body=body, openai_organization="o").pool == "gpt-4.1@priority@long-context@o"


def test_nothing_known_but_the_size() -> None:
    """A JSON body that nobody looked into is charged by its bytes; a form is not, nor what goes to no model."""
    call = recognise(size=4_000)
    assert (call.model, call.pool, call.charge, call.input_tokens) == ("", "chat", Charge(tokens=1_000), 1_000)
    azure = recognise("/openai/deployments/mine/chat/completions", size=4_000)
    assert (azure.model, azure.pool, azure.charge) == ("mine", "", Charge(tokens=1_000))
    assert recognise("/v1/audio/transcriptions", size=4_000_000).charge == Charge()
    assert recognise("/v1/images/edits", size=4_000_000).charge == Charge(tokens=1, images=1)
    assert recognise("/v1/images/edits", size=4_000, content_type="application/json").charge.tokens == 1_000
    assert recognise(size=4_000, content_type="multipart/form-data; boundary=x").charge == Charge(tokens=1)
    assert recognise("/v1/files", size=4_000_000).charge == Charge()
    assert recognise(size=-5).charge == Charge(tokens=1)


def test_input_tokens_are_estimated_without_a_tokenizer() -> None:
    """What is sent is estimated by bytes, pictures by their size, tools by their JSON; no tokenizer is asked."""
    body: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 400}]}
    assert recognise(body=body).input_tokens == 103
    tool = {"type": "function", "function": {"name": "x" * 600}}
    size = len(json.dumps([tool], separators=(",", ":"))) - 2
    assert recognise(body=body | {"tools": [tool]}).input_tokens == 103 + size // 6
    body["messages"][0]["content"] = [IMAGE]
    assert recognise(body=body).input_tokens == 768


def test_streams() -> None:
    """A stream is asked for by a boolean, or by a word in a form."""
    assert recognise(body={"model": "m", "stream": True}).stream is True
    assert recognise("/v1/audio/transcriptions", {"model": "m", "stream": "true"}).stream is True
    odds: list[Any] = [False, None, "false", [], {}]
    for odd in odds:
        assert recognise(body={"model": "m", "stream": odd}).stream is False


@pytest.mark.parametrize(
    "value", [0, -5, 10**30, 1.5, float("nan"), float("inf"), "x", "9" * 5_000, "-1", [], {}, True]
)
def test_counts_that_are_none(value: Any) -> None:
    """Counts that are no sane numbers are brought within reason or passed over; the provider will judge them."""
    call = recognise(body={"model": "m", "messages": MESSAGES, "n": value, "max_tokens": value, "best_of": value})
    assert 10 <= call.charge.tokens <= 128 * 10**9
    assert recognise("/v1/images/generations", {"model": "m", "n": value}).charge.images in range(1, 129)


@pytest.mark.parametrize("model", ["x" * 201, "gpt\n5", "", None, 5, ["m"], {"m": 1}])
def test_models_that_are_none(model: Any) -> None:
    """A name that cannot be one is none: the limits are those of the endpoint."""
    call = recognise(body={"model": model, "messages": MESSAGES})
    assert (call.model, call.pool, call.charge.tokens) == ("", "chat", 10)


FIELDS = (
    "model messages input prompt instructions role content type text image_url input_image url detail tools functions "
    "name parameters properties response_format json_schema format n best_of max_tokens max_completion_tokens stream "
    "images image service_tier tool_calls function arguments output"
)
KEYS = st.sampled_from(FIELDS.split())
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=3)
    | st.sampled_from(["image_url", "json_schema", "data:image/png;base64,iVBOR", "flex", "gpt-4.1", "low"]),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(KEYS, inside, max_size=6),
    max_leaves=40,
)
WORDS = st.sampled_from(
    [
        *"/".join(Endpoint).split("/"),
        "deployments",
        "engines",
        "vector_stores",
        "files",
        "responses",
        "..",
        "%2F",
        "\u6f22",
    ]
)
PATHS = st.sampled_from(Endpoint).map(str) | st.lists(WORDS | st.text(max_size=5)).map("/".join) | st.text()


@settings(max_examples=400)
@given(
    st.sampled_from(["POST", "GET", "post", "DELETE", ""]) | st.text(max_size=9),
    PATHS,
    st.dictionaries(st.text(max_size=9) | st.just("OpenAI-Organization"), st.text(max_size=9), max_size=3),
    st.none() | st.dictionaries(KEYS, ANY, max_size=9),
    st.integers(),
)
def test_nothing_makes_it_fail(
    method: str, path: str, headers: dict[str, str], body: dict[str, Any] | None, size: int
) -> None:
    """Whatever somebody sends somewhere, it is one request, of some pool, and no charge is negative."""
    call = OPENAI.recognise(method, path, headers, body, size)
    assert call.charge.requests == call.charge.concurrency == 1
    assert min(call.charge) >= 0
    assert call.input_tokens >= 0
    assert call.url.startswith("/v1/")
    assert call.model == "" or call.model.isprintable()


@given(PATHS)
def test_shown_paths_are_few(path: str) -> None:
    """What is shown of a path is made of known words only, so that no name of a thing becomes a label."""
    shown = route_of("GET", path).url
    assert set(shown) <= set("abcdefghijklmnopqrstuvwxyz_/{}1")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "x y " * 5_000_000}]},
        {"messages": [{"role": "user", "content": "x" * 500}] * 50_000},
        {"messages": [{"role": "user", "content": [IMAGE] * 50_000}]},
        {"tools": [{"function": {"name": "x" * 500}}] * 20_000},
    ],
    ids=["20 MB", "many messages", "many pictures", "many tools"],
)
def test_bodies_made_to_hurt(body: dict[str, Any]) -> None:
    """Whatever the size, it takes no more than time in proportion."""
    begun = time.process_time()
    recognise(body={"model": "m"} | body)
    assert time.process_time() - begun < 2


def test_deep_bodies() -> None:
    """Depth does not exhaust the stack."""
    deep: Any = []
    for _ in range(50_000):
        deep = [deep]
    call = recognise("/v1/responses", {"model": "m", "input": deep, "tools": deep, "text": {"format": deep}})
    assert call.charge.tokens == 1


def test_it_is_quick() -> None:
    """A conversation of a thousand tokens is recognised in a fraction of a millisecond."""
    body = {
        "model": MODEL,
        "messages": [{"role": "system", "content": "x" * 400}, {"role": "user", "content": "y" * 3600}],
    }
    fields = {f"X-Header-{number}": "value" for number in range(16)}
    best = 1.0
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(100):
            OPENAI.recognise("POST", CHAT, fields, body, 4_000)
        best = min(best, (time.perf_counter() - begun) / 100)
    assert best < 200e-6  # 15 us where it was measured
