"""Providers that speak OpenAI's language, one row each; docs/providers.md shows how to add one.

Each row states only what differs from OpenAI, and where that is from. Where a source says nothing, the row is as
careful as OpenAI's: a refusal is charged as a request, and a charge is kept. Those who count what was really used
(they say so, or state a cost after the fact) have their charges corrected by it; so have servers of one's own, whose
limits are the user's.
"""

from scheduler.core.growth import Growth
from scheduler.core.quota import DAY, MINUTE, SECOND, Dimension
from scheduler.providers.base import Cause, Settlement
from scheduler.providers.compatible_parts import epoch_reset, named, nothing, sent, summed, with_cost, words
from scheduler.providers.dialect import Dialect
from scheduler.providers.headers import PREFIX, Naming, joined, observations
from scheduler.providers.named_windows import named_windows
from scheduler.providers.openai_charge import Endpoint
from scheduler.providers.openai_errors import Causes

_CHAT = (Endpoint.CHAT,)
_TEXT = (Endpoint.CHAT, Endpoint.COMPLETIONS)
_COMMON = (Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS)
_KEY = "SCHEDULER_API_KEY"  # for servers of one's own: never another provider's key by mistake

OPENAI = Dialect(
    name="openai",
    base_url="https://api.openai.com",
    key_variable="OPENAI_API_KEY",
    # Error catalogue of 2026: ``slow_down`` above a million input tokens a minute, at 50 % more in 15 minutes.
    growth=Growth(floor=1_000_000),
    project_header="OpenAI-Project",
)

GROQ = Dialect(
    name="groq",
    base_url="https://api.groq.com/openai",
    key_variable="GROQ_API_KEY",
    endpoints=(Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.EMBEDDINGS),
    # console.groq.com/docs/rate-limits: requests are always per day, tokens always per minute; what else it limits
    # (RPM, TPD, audio seconds) is in no header. Cached tokens do not count.
    headers=named(
        requests=Naming(Dimension.REQUESTS, window=DAY, least=1),
        tokens=Naming(Dimension.TOKENS, window=MINUTE),
    ),
    cached_free=True,
    # Of two recorded answers to the same 18 tokens, one (a stream, begun) shows 13 gone and one (done) 131: what came
    # back is counted once it is known.
    settlement=Settlement.CORRECTED,
)

MISTRAL = Dialect(
    name="mistral",
    base_url="https://api.mistral.ai",
    key_variable="MISTRAL_API_KEY",
    endpoints=(Endpoint.CHAT, Endpoint.EMBEDDINGS, Endpoint.MODERATIONS),
    headers=with_cost,
    causes=Causes(
        names={
            "1300": Cause.RATE,
            "rate_limited": Cause.RATE,
            "3505": Cause.OVERLOAD,
            "service_tier_capacity_exceeded": Cause.OVERLOAD,
        }
    ),
    settlement=Settlement.CORRECTED,  # the stated cost is all tokens of the call, those that came back among them
)

TOGETHER = Dialect(
    name="together",
    base_url="https://api.together.ai",
    key_variable="TOGETHER_API_KEY",
    endpoints=(*_COMMON, Endpoint.IMAGES),
    # docs.together.ai/docs/rate-limits, and recordings of 2024: names without a dimension, per second. The reset is in
    # seconds, and printed 2 where a second fills it. Limits follow what one uses.
    headers=joined(
        named(PREFIX + "{}", requests=Naming(Dimension.REQUESTS, window=SECOND, inferred=False)),
        named("x-tokenlimit-{}", tokens=Naming(Dimension.TOKENS, window=SECOND, inferred=False)),
    ),
    # A plain rate limit was recorded under the type ``credit_limit``.
    causes=Causes(words=words((r"you have been rate limited|reached the rate limit", Cause.RATE))),
)

FIREWORKS = Dialect(
    name="fireworks",
    base_url="https://api.fireworks.ai/inference",
    key_variable="FIREWORKS_API_KEY",
    endpoints=(*_COMMON, Endpoint.RESPONSES),
    # docs.fireworks.ai/serverless/rate-limits: adaptive limits per minute. Of two on the prompt the one on what is not
    # cached is taken, a quarter of the other: it binds unless three quarters are cached. x-ratelimit-over-limit is a
    # warning on a success and says nothing that the levels do not.
    headers=joined(
        named(
            requests=Naming(Dimension.REQUESTS, window=MINUTE, least=1, inferred=False),
            tokens_cache_adjusted_prompt=Naming(Dimension.INPUT_TOKENS, window=MINUTE, inferred=False),
            tokens_generated=Naming(Dimension.OUTPUT_TOKENS, window=MINUTE, inferred=False),
        ),
        named(tokens_prompt=Naming(Dimension.INPUT_TOKENS, window=MINUTE, inferred=False)),
    ),
    settlement=Settlement.CORRECTED,
    cached_free=True,
)

CEREBRAS = Dialect(
    name="cerebras",
    base_url="https://api.cerebras.ai",
    key_variable="CEREBRAS_API_KEY",
    endpoints=_TEXT,
    # inference-docs.cerebras.ai/support/rate-limits: the prompt and max_completion_tokens are reserved together. The
    # reset, seconds to the end of a fixed window, is left: an observation has no place for where windows end.
    headers=named_windows,
    charge_rule=summed,
)

OPENROUTER = Dialect(
    name="openrouter",
    base_url="https://openrouter.ai/api",
    key_variable="OPENROUTER_API_KEY",
    endpoints=(Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.RESPONSES, Endpoint.EMBEDDINGS),
    # openrouter.ai/docs: limits only on its own refusals, in headers and in the body's metadata; the words name the
    # window. A refusal of the provider behind it is that one's want of capacity, not a limit of ours.
    headers=named(PREFIX + "{}", requests=Naming(Dimension.REQUESTS, least=1, inferred=False)),
    causes=Causes(words=words((r"provider returned error|rate-limited upstream", Cause.OVERLOAD))),
    resets=epoch_reset,
)

XAI = Dialect(
    name="xai",
    base_url="https://api.x.ai",
    key_variable="XAI_API_KEY",
    endpoints=(Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.COMPLETIONS, Endpoint.IMAGES),
    # docs.x.ai: all tokens count, cached and reasoning ones too. Limits per second are RPM/60: hidden windows.
    causes=Causes(
        words=words((r"used all available credits|monthly spending limit|doesn't have any credits", Cause.BILLING))
    ),
    settlement=Settlement.CORRECTED,
)

DEEPSEEK = Dialect(
    name="deepseek",
    base_url="https://api.deepseek.com",
    key_variable="DEEPSEEK_API_KEY",
    prefix="",
    endpoints=_CHAT,
    # api-docs.deepseek.com: no rate but a concurrency per account and model (set `concurrency`); under load it holds
    # the line with blank lines and comments. What was refused holds nothing.
    causes=Causes(words=words((r"insufficient balance", Cause.BILLING))),
    refusals_charged=frozenset(),
    settlement=Settlement.CORRECTED,
)

PERPLEXITY = Dialect(
    name="perplexity",
    base_url="https://api.perplexity.ai",
    key_variable="PERPLEXITY_API_KEY",
    prefix="",
    endpoints=_CHAT,  # docs.perplexity.ai: a leaky bucket of requests, QPS = RPM/60; no headers
)

GITHUB = Dialect(
    name="github-models",
    base_url="https://models.github.ai",
    key_variable="GITHUB_TOKEN",
    prefix="/inference",
    endpoints=(Endpoint.CHAT, Endpoint.EMBEDDINGS),
    # The headers are those of the Azure deployment behind it, shared by all and never what binds; what binds stands in
    # the words of a refusal alone. So none are read.
    headers=nothing,
    causes=Causes(names={"RateLimitReached": Cause.RATE, "unauthorized": Cause.AUTH}),
)

GEMINI = Dialect(
    name="gemini-openai",
    base_url="https://generativelanguage.googleapis.com",
    key_variable="GEMINI_API_KEY",
    prefix="/v1beta/openai",
    endpoints=(Endpoint.CHAT, Endpoint.EMBEDDINGS, Endpoint.IMAGES),
    # No headers; only input is limited. ``gemini_openai`` reads its refusals; these are for errors within streams.
    causes=Causes(
        names={
            "RESOURCE_EXHAUSTED": Cause.RATE,
            "UNAVAILABLE": Cause.OVERLOAD,
            "DEADLINE_EXCEEDED": Cause.TIMEOUT,
            "INTERNAL": Cause.SERVER,
        },
    ),
    settlement=Settlement.CORRECTED,
    refusals_charged=frozenset(),
    charge_rule=sent,
)

LITELLM = Dialect(
    name="litellm",
    base_url="http://localhost:4000",
    key_variable="LITELLM_API_KEY",
    # docs.litellm.ai/docs/proxy/response_headers: OpenAI's names, of the key's limits or those of the provider behind
    # it, per minute where they are its own; resets are numbers of no stated unit.
    headers=named(
        requests=Naming(Dimension.REQUESTS, least=1, inferred=False),
        tokens=Naming(Dimension.TOKENS, window=MINUTE, inferred=False),
    ),
    causes=Causes(words=words((r"budget has been exceeded|exceeded ?budget", Cause.BILLING))),
    settlement=Settlement.CORRECTED,
)

VLLM = Dialect(
    name="vllm",
    base_url="http://localhost:8000",
    key_variable=_KEY,
    refusals_charged=frozenset(),  # nothing is limited but what a proxy limits; a full queue answers 503
    settlement=Settlement.CORRECTED,
    headers=joined(observations, named_windows),
)

KONG = Dialect(
    name="kong",
    base_url="",
    key_variable=_KEY,
    # Its own limits name their window (X-RateLimit-Remaining-Minute); those of the provider behind it pass through.
    headers=joined(named_windows, observations),
    settlement=Settlement.CORRECTED,
)

IETF = Dialect(
    name="ietf",
    base_url="",
    key_variable=_KEY,
    headers=nothing,  # so the IETF's fields are read
    settlement=Settlement.CORRECTED,
)

COMPATIBLE = (
    GROQ,
    MISTRAL,
    TOGETHER,
    FIREWORKS,
    CEREBRAS,
    OPENROUTER,
    XAI,
    DEEPSEEK,
    PERPLEXITY,
    GITHUB,
    LITELLM,
    VLLM,
    KONG,
    IETF,
)
"""All that a row describes wholly: not OpenAI itself, nor Azure and Gemini, which have files of their own."""
