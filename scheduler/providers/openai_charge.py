"""What OpenAI's limiter takes for a request at admission: an estimate from its size, not what it will bill.

The documented rule (rate limit guide, unchanged through autumn 2026): the larger of ``max_tokens`` and an estimate from
the number of characters. Recorded answers (204 calls, 2024 to 2026; charge = limit - remaining) show other rules before
and beside it, so the rule is chosen by name, and what a rule gives is corrected by what headers show.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple


class Endpoint(StrEnum):
    """Endpoints that make something of a body, by their paths."""

    CHAT = "/v1/chat/completions"
    RESPONSES = "/v1/responses"
    COMPACT = "/v1/responses/compact"
    COMPLETIONS = "/v1/completions"
    EMBEDDINGS = "/v1/embeddings"
    MODERATIONS = "/v1/moderations"
    IMAGES = "/v1/images/generations"
    EDITS = "/v1/images/edits"
    VARIATIONS = "/v1/images/variations"
    SPEECH = "/v1/audio/speech"
    TRANSCRIPTIONS = "/v1/audio/transcriptions"
    TRANSLATIONS = "/v1/audio/translations"
    VIDEOS = "/v1/videos"


class ChargeFacts(NamedTuple):
    """What a charge is computed from.

    Attributes:
        endpoint: Where the request goes.
        characters: Unicode code points of content and roles; a token id given in place of text counts as four.
        messages: Messages of the conversation, or inputs of a list.
        output_cap: Most output tokens that the request allows for one answer, or 0 where it sets none.
        n: Answers asked for.
        image_tokens: What images in the request come to, in tokens.
        calls: Unicode code points of the names and arguments of tool calls among the messages.
        declared: Bytes of the JSON of tools and of the schema of the answer.
        tools: Whether there are tools.
    """

    endpoint: Endpoint
    characters: int
    messages: int = 1
    output_cap: int = 0
    n: int = 1
    image_tokens: int = 0
    calls: int = 0
    declared: int = 0
    tools: bool = False


ChargeRule = Callable[[ChargeFacts], int]
"""Returns the tokens that the limiter takes: at least 1, except where only requests and images are limited."""

_GENERATING = frozenset({Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.COMPACT, Endpoint.COMPLETIONS})
_RESPONSES = frozenset({Endpoint.RESPONSES, Endpoint.COMPACT})
_UNCOUNTED = frozenset({Endpoint.VARIATIONS, Endpoint.VIDEOS})
_LISTS = frozenset({Endpoint.EMBEDDINGS, Endpoint.MODERATIONS})
_HEARING = frozenset({Endpoint.TRANSCRIPTIONS, Endpoint.TRANSLATIONS})


def documented(facts: ChargeFacts) -> int:
    """Return the charge of OpenAI's guide: the larger of the output cap and characters/4, rounded up.

    Each of ``n`` answers may be as long as the cap. Where no cap is set none is assumed. Embeddings and moderations are
    at least 1 an input. Videos and variations of an image are limited by requests and images only. No formula is
    known for audio, so a transcription is charged its prompt, and nothing without one.
    """
    sent = _quarter(facts.characters) + facts.image_tokens
    if facts.endpoint in _GENERATING:
        return max(1, sent, facts.output_cap * facts.n)
    if facts.endpoint in _UNCOUNTED:
        return 0
    if facts.endpoint in _HEARING:
        return sent
    if facts.endpoint in _LISTS:
        return max(1, sent, facts.messages)
    return max(1, sent)


def recorded_2025(facts: ChargeFacts) -> int:
    """Return the charge as recorded since March 2025.

    Chat: characters/4 + 2 (74 calls, median error 5 %; none sets a cap, so the documented one stays). Tools, schemas
    and tool calls do not show: 390 for 1,555 characters and a tool of 700 bytes, 45 for 178 and a schema of 310 bytes.

    Responses: characters/4 + 30, between 25 and 37 by model, where the cap does not show at all; on gpt-5 models no
    rule was found. Here tool calls count as text, tools add about 200, and they and schemas an eighth of their JSON:
    within 12 % of 15 calls of 2025 and 2026, most with one to four functions or a schema. Web search adds 320.

    The others as documented, which they fit.
    """
    if facts.endpoint in _RESPONSES:
        sent = _quarter(facts.characters + facts.calls) + facts.image_tokens
        return sent + 30 + facts.declared // 8 + (200 if facts.tools else 0)
    if facts.endpoint is Endpoint.CHAT:
        return max(facts.output_cap * facts.n, _quarter(facts.characters) + facts.image_tokens + 2)
    return documented(facts)


def recorded_2024(facts: ChargeFacts) -> int:
    """Return the charge as recorded from February 2024 to January 2025: the sum of characters/4 and the output cap.

    A chat or completion without a cap counts as one of 16 tokens (60 calls, median error 0). The other endpoints as
    documented.
    """
    if facts.endpoint in {Endpoint.CHAT, Endpoint.COMPLETIONS}:
        return _quarter(facts.characters) + facts.image_tokens + (facts.output_cap or 16) * facts.n
    return documented(facts)


def recorded_input(facts: ChargeFacts) -> int:
    """Return ``recorded_2025`` without the output cap.

    Of recorded chats since 2025 none sets a cap; of Responses that set one (6 calls, caps of 50 to 1,024) none shows
    it. A candidate for endpoints and models that do as they do, and never the default.
    """
    return recorded_2025(facts._replace(output_cap=0))


CHARGE_RULES: Mapping[str, ChargeRule] = {
    "documented": documented,
    "recorded_2025": recorded_2025,
    "recorded_2024": recorded_2024,
    "recorded_input": recorded_input,
}
"""Rules by name."""


def candidates_of(facts: ChargeFacts, rule: ChargeRule) -> tuple[int, ...]:
    """Return the charges by all known rules, that of *rule* first and then the others in their order."""
    return (rule(facts), *(other(facts) for other in CHARGE_RULES.values() if other is not rule))


def _quarter(characters: int) -> int:
    return -(-characters // 4)
