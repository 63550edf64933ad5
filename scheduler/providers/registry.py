"""Providers by name."""

from collections.abc import Callable, Mapping
from functools import partial

from scheduler.errors import ConfigurationError
from scheduler.providers.anthropic import Anthropic
from scheduler.providers.azure import Azure
from scheduler.providers.base import Provider
from scheduler.providers.bedrock import Bedrock
from scheduler.providers.cohere import Cohere
from scheduler.providers.compatible import COMPATIBLE
from scheduler.providers.gemini import Gemini
from scheduler.providers.gemini_openai import GeminiOpenAI
from scheduler.providers.like_openai import LikeOpenAI
from scheduler.providers.openai import OpenAI
from scheduler.tokens.counter import TokenCounter

PROVIDERS: Mapping[str, Callable[[TokenCounter, str | None], Provider]] = {
    "openai": OpenAI,
    "azure": Azure,
    "gemini-openai": GeminiOpenAI,
    **{dialect.name: partial(LikeOpenAI, dialect) for dialect in COMPATIBLE},
    "anthropic": Anthropic,
    "gemini": Gemini,
    "cohere": Cohere,
    "bedrock": Bedrock,
}
"""What makes each provider, given a counter of tokens and a base url or None for its own."""


def provider_named(name: str, counter: TokenCounter, base_url: str | None = None) -> Provider:
    """Return the provider that goes by *name*.

    Raises:
        ConfigurationError: If there is none; it names those that are known.
    """
    make = PROVIDERS.get(name)
    if make is None:
        raise ConfigurationError(f"no provider is called {name!r:.40}", "provider", "known are " + ", ".join(PROVIDERS))
    return make(counter, base_url)
