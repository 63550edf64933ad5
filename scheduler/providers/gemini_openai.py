"""Gemini at the endpoint that imitates OpenAI's: requests and answers are OpenAI's, limits and refusals Google's."""

from collections.abc import Mapping

from scheduler.core.quota import Charge
from scheduler.providers.base import Reading, Usage
from scheduler.providers.compatible import GEMINI
from scheduler.providers.gemini import Gemini
from scheduler.providers.like_openai import LikeOpenAI
from scheduler.tokens.counter import TokenCounter

_SUCCESS = range(200, 300)


class GeminiOpenAI(LikeOpenAI):
    """The Gemini API under ``/v1beta/openai``. See ``Gemini`` for what it limits and how it refuses."""

    def __init__(self, counter: TokenCounter, base_url: str | None = None) -> None:
        super().__init__(GEMINI, counter, base_url)
        self._google = Gemini(counter)

    def read(self, status: int, headers: Mapping[str, str], body: bytes | None, *, url: str = "") -> Reading:
        """Read an answer. See ``Provider``."""
        if status in _SUCCESS:
            return super().read(status, headers, body, url=url)
        return self._google.read(status, headers, body, url=url)

    def counted(self, usage: Usage, model: str = "") -> Charge:
        """Return what the limiter takes for a usage: the input."""
        return self._google.counted(usage, model)
