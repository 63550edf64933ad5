"""Amazon Bedrock: requests, exceptions and what answers billed."""

import json
from typing import Any

import pytest

from scheduler.core.quota import Charge
from scheduler.errors import InvalidRequest
from scheduler.providers.base import Cause, Outcome, Provider, Settlement, Usage
from scheduler.providers.bedrock import MEDIA, OUTPUT, Bedrock

BEDROCK = Bedrock()
CONVERSE = "/model/anthropic.claude-sonnet-4-5-20250929-v1:0/converse"


def said(*content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


def taken(sent: int, output: int = OUTPUT) -> Charge:
    return Charge(1, sent + output, sent, output)


def test_what_it_states() -> None:
    """Charges are corrected; the key is a bearer token."""
    provider: Provider = BEDROCK
    assert (provider.name, provider.key_variable) == ("bedrock", "AWS_BEARER_TOKEN_BEDROCK")
    assert provider.settlement is Settlement.CORRECTED
    assert BEDROCK.authorize("k") == {"Authorization": "Bearer k"}
    assert Bedrock(base_url="https://b.example/").base_url == "https://b.example"


@pytest.mark.parametrize(
    ("body", "charge"),
    [
        (said({"text": "x" * 35}), taken(10)),
        (said({"text": "x" * 35}) | {"inferenceConfig": {"maxTokens": 500}}, taken(10, 500)),
        (said({"image": {"format": "png", "source": {"bytes": "y" * 9_999}}}), taken(MEDIA.image)),
        (said({"document": {"format": "pdf", "name": "x", "source": {"bytes": "y" * 9_999}}}), taken(MEDIA.other)),
        (said({"toolUse": {"toolUseId": "t", "name": "x" * 30, "input": {"abcde": 1}}}), taken(10)),
        (said() | {"system": [{"text": "x" * 35}, {"cachePoint": {"type": "default"}}]}, taken(10)),
        ({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": "x" * 35}, taken(10, 9)),
        ({"prompt": "x" * 35, "max_gen_len": 9}, taken(10, 9)),
        ({"inputText": "x" * 35, "textGenerationConfig": {"maxTokenCount": 9}}, taken(10, 9)),
    ],
)
def test_a_request_takes_its_input_and_its_cap(body: dict[str, Any], charge: Charge) -> None:
    """Converse, and the bodies of Anthropic, Meta and Amazon."""
    url = CONVERSE if isinstance(body.get("messages"), list) else CONVERSE.replace("converse", "invoke")
    assert BEDROCK.describe("POST", url, body).charge == charge


@pytest.mark.parametrize(
    ("url", "model", "stream"),
    [
        (CONVERSE, "anthropic.claude-sonnet-4-5-20250929-v1:0", False),
        ("/model/us.amazon.nova-pro-v1%3A0/converse-stream", "us.amazon.nova-pro-v1:0", True),
        (
            "/model/arn:aws:bedrock:us-east-1:1:inference-profile%2Feu.x/invoke",
            "arn:aws:bedrock:us-east-1:1:inference-profile/eu.x",
            False,
        ),
        ("/model/m/invoke-with-response-stream", "m", True),
    ],
)
def test_the_model_is_in_the_path(url: str, model: str, stream: bool) -> None:  # noqa: FBT001  # a column
    """Ids and profiles, in the form that SDKs encode them."""
    call = BEDROCK.describe("POST", url, said({"text": "x"}))
    assert (call.model, call.stream, call.url) == (model, stream, url)


@pytest.mark.parametrize(
    ("method", "url", "body", "field"),
    [
        ("GET", CONVERSE, {}, "method"),
        ("POST", "/model/m/forget", {}, "url"),
        ("POST", "/model/a/b/converse", {}, "url"),
        ("POST", "/model/%2e%2e/converse", {}, "url"),
        ("POST", "//x/model/m/converse", {}, "url"),
        ("POST", CONVERSE, "x", "body"),
        ("POST", CONVERSE, {"messages": []}, "body.messages"),
        ("POST", CONVERSE.replace("converse", "invoke"), {}, "body"),
        ("POST", CONVERSE, said("x") | {"inferenceConfig": {"maxTokens": 0}}, "body.inferenceConfig.maxTokens"),
    ],
)
def test_what_cannot_be_sent_names_field_and_mend(method: str, url: str, body: Any, field: str) -> None:
    """Only known paths pass, and caps that are numbers."""
    with pytest.raises(InvalidRequest) as raised:
        BEDROCK.describe(method, url, body)
    assert raised.value.field == field
    assert raised.value.mend


@pytest.mark.parametrize(
    ("path", "body", "model", "pool", "charge"),
    [
        (CONVERSE, said({"text": "x" * 35}), "anthropic.claude-sonnet-4-5-20250929-v1:0", "", taken(10)),
        ("/model/arn:aws:x/profile/converse", None, "arn:aws:x/profile", "", taken(20)),
        (CONVERSE, {"inferenceConfig": {"maxTokens": "x"}}, "anthropic.claude-sonnet-4-5-20250929-v1:0", "", taken(20)),
        ("/model/m/count-tokens", {}, "m", "m@count-tokens", Charge()),
        ("/guardrail/g/version/1/apply", {}, "", "guardrail", Charge()),
    ],
)
def test_recognising_what_others_send(path: str, body: Any, model: str, pool: str, charge: Charge) -> None:
    """What cannot be described counts its bytes; what names no model is one request to its endpoint."""
    call = BEDROCK.recognise("POST", path, {}, body, size=70)
    assert (call.model, call.pool, call.charge) == (model, pool, charge)


CATALOGUE: list[tuple[int, str, Outcome, Cause]] = [
    (429, "ThrottlingException", Outcome.THROTTLED, Cause.RATE),
    (400, "ServiceQuotaExceededException", Outcome.THROTTLED, Cause.RATE),
    (429, "ModelNotReadyException", Outcome.OVERLOADED, Cause.OVERLOAD),
    (503, "ServiceUnavailableException", Outcome.OVERLOADED, Cause.OVERLOAD),
    (408, "ModelTimeoutException", Outcome.FAILED, Cause.TIMEOUT),
    (424, "ModelErrorException", Outcome.FAILED, Cause.SERVER),
    (500, "InternalServerException", Outcome.FAILED, Cause.SERVER),
    (403, "AccessDeniedException", Outcome.FAILED, Cause.AUTH),
    (403, "ExpiredTokenException", Outcome.FAILED, Cause.AUTH),
    (400, "ValidationException", Outcome.FAILED, Cause.BAD_REQUEST),
    (404, "ResourceNotFoundException", Outcome.FAILED, Cause.BAD_REQUEST),
    (409, "ConflictException", Outcome.FAILED, Cause.CONFLICT),
    (429, "NewException", Outcome.THROTTLED, Cause.RATE),
    (503, "", Outcome.OVERLOADED, Cause.OVERLOAD),
]


@pytest.mark.parametrize(("status", "code", "outcome", "cause"), CATALOGUE)
def test_exceptions(status: int, code: str, outcome: Outcome, cause: Cause) -> None:
    """The exception's name decides, wherever it stands, and the status where it is unknown."""
    words = {"message": "no"}
    answers: list[tuple[dict[str, str], Any]] = [
        ({"x-amzn-ErrorType": f"{code}:http://internal.amazon.com/coral/com.amazon.bedrock/"}, words),
        ({}, {"__type": f"com.amazon.coral.service#{code}"} | words),
        ({}, {"Error": {"Code": code, "Message": "no"}}),
        ({"x-amzn-errortype": code}, "no"),
    ]
    for headers, body in answers:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        reading = BEDROCK.read(status, headers | {"x-amzn-RequestId": "r1"}, data)
        assert (reading.outcome, reading.cause, reading.code) == (outcome, cause, code)
        assert (reading.message, reading.request_id, reading.refused) == ("no", "r1", None)


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"usage": {"inputTokens": 10, "outputTokens": 3, "totalTokens": 13}}, Usage(10, 0, 3)),
        (
            {"usage": {"inputTokens": 10, "outputTokens": 3, "cacheReadInputTokens": 90, "cacheWriteInputTokens": 5}},
            Usage(105, 90, 3),
        ),
        ({"usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 3}}, Usage(100, 90, 3)),
        ({"prompt_token_count": 10, "generation_token_count": 3}, Usage(10, 0, 3)),
        ({"usage": {"inputTokens": -1}}, None),
        ({}, None),
        ([], None),
    ],
)
def test_usage(body: Any, usage: Usage | None) -> None:
    """Converse counts reads and writes of the cache apart from the input, as Anthropic does."""
    data = json.dumps(body).encode()
    assert BEDROCK.usage(CONVERSE, data) == usage
    assert BEDROCK.read(200, {}, data).usage == usage


def test_headers_tell_the_usage_where_the_body_does_not() -> None:
    """Each family of models has a body of its own; the headers of an invocation are alike."""
    headers = {"X-Amzn-Bedrock-Input-Token-Count": "10", "X-Amzn-Bedrock-Output-Token-Count": "3"}
    assert BEDROCK.read(200, headers, b"{}").usage == Usage(10, 0, 3)
    assert BEDROCK.read(200, {"X-Amzn-Bedrock-Input-Token-Count": "x"}, b"{}").usage is None


def test_streams_are_binary() -> None:
    """An event that somebody has decoded tells the usage; a binary one says nothing."""
    reading = BEDROCK.read_event(b'{"metrics": {}, "usage": {"inputTokens": 10, "outputTokens": 3}}')
    assert reading is not None
    assert reading.usage == Usage(10, 0, 3)
    assert BEDROCK.read_event(b"\x00\x00\x00\x8f") is None


@pytest.mark.parametrize(
    ("model", "rate"),
    [
        ("", 1),
        ("us.amazon.nova-pro-v1:0", 1),
        ("meta.llama3-70b-instruct-v1:0", 1),
        ("anthropic.claude-v2:1", 1),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", 1),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", 5),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", 5),
        ("global.anthropic.claude-opus-4-8", 15),
        ("global.anthropic.claude-sonnet-5", 10),
        ("eu.anthropic.claude-opus-5-5", 10),
    ],
)
def test_output_burns_down_at_a_rate_of_its_model(model: str, rate: int) -> None:
    """Output counts several times with newer models of Anthropic's; reads of the cache do not count."""
    assert BEDROCK.counted(Usage(100, 90, 7), model) == Charge(0, 10 + 7 * rate, 10, 7 * rate)
