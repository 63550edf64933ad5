"""``pydantic-ai``'s agents on OpenAI's and Anthropic's models, with HTTP clients of ours."""

from typing import Any

import pytest
from sdk_llmock import KEY, llmock
from sdk_servers import Answer, Scripted, served, simulated
from sdk_support import (
    CALLS,
    MODEL,
    OUTPUT,
    RUSH,
    async_client,
    at_once,
    billed,
    check_rush,
    error_body,
    needs,
    prompt,
    run,
)

from scheduler import Scheduler

needs("pydantic_ai", "openai", "anthropic", "llmock")

from anthropic import AsyncAnthropic
from pydantic_ai import Agent, ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

pytestmark = pytest.mark.network


def agent(url: str, http_client: Any) -> "Agent[None, str]":
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key=KEY, http_client=http_client)
    return Agent(OpenAIChatModel(MODEL, provider=provider))


def test_agents_on_openai() -> None:
    """A rush of runs goes through whole."""
    with simulated(RUSH) as (url, simulator):
        scheduler = Scheduler()

        async def main() -> None:
            async with async_client(scheduler) as http_client:
                assistant = agent(url, http_client)
                results = await at_once(lambda number: assistant.run(prompt(number)))
            assert {len(result.output) for result in results} == {4 * OUTPUT}

        run(main)
        check_rush(scheduler, simulator, sum(map(billed, range(CALLS))))


def test_a_stream_of_an_agent() -> None:
    """``run_stream`` yields text that grows."""
    with simulated(RUSH) as (url, _):
        scheduler = Scheduler()

        async def main() -> list[str]:
            async with (
                async_client(scheduler) as http_client,
                agent(url, http_client).run_stream("hello") as result,
            ):
                return [text async for text in result.stream_text(debounce_by=None)]

        texts = run(main)
        assert [len(text) for text in texts] == sorted({len(text) for text in texts})
        assert len(texts[-1]) == 4 * OUTPUT


def test_agents_on_anthropic() -> None:
    """The same on the Messages API, against llmock."""
    with llmock(tpm=60_000) as server:
        server.spend("anthropic", 58_000)
        scheduler = Scheduler("anthropic")

        async def main() -> None:
            async with async_client(scheduler) as http_client:
                client = AsyncAnthropic(api_key=KEY, base_url=f"{server.url}/anthropic", http_client=http_client)
                model = AnthropicModel("claude-haiku-4-5", provider=AnthropicProvider(anthropic_client=client))
                assistant = Agent(model, model_settings={"max_tokens": 100})
                results = await at_once(lambda number: assistant.run(f"Question {number}?"), range(20))
            assert all(result.output for result in results)

        run(main)
        assert server.statuses() == {200: 20}
        assert server.findings() == []


def test_attempts_are_not_multiplied() -> None:
    """A server that always fails sees the scheduler's attempts, and the agent raises its own error."""
    server = Scripted(lambda _: Answer(503, error_body("In its own words.", "server_error", None)))
    with served(server) as url:
        scheduler = Scheduler(limits={MODEL: {"rpm": 6000}}, max_attempts=2)

        async def main() -> Any:
            async with async_client(scheduler) as http_client:
                with pytest.raises(ModelHTTPError, match="In its own words") as caught:
                    await agent(url, http_client).run("hello")
            return caught.value.status_code

        assert run(main) == 503
    assert len(server.seen) == 2
