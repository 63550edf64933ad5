"""inspect-ai, an evaluation harness, over a tiny task whose model goes through a scheduler."""

import gc
from pathlib import Path
from typing import Any

import pytest
from sdk_servers import simulated
from sdk_support import CALLS, KEY, LIBRARIES, MODEL, OUTPUT, RUSH, async_client, billed, check_rush, needs, prompt, run

from scheduler import Scheduler

needs("inspect_ai", "openai")

from inspect_ai import Task, eval_async
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import includes

pytestmark = [
    pytest.mark.network,
    # Its retries are made with an argument that tenacity renames, and it leaves streams of anyio's to the collector.
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_evaluation(tmp_path: Path, library: str) -> None:
    """A task with more samples than the limit lets through, all at once, ends with every sample scored once."""
    samples = [Sample(input=prompt(number), target="simulated", id=number) for number in range(CALLS)]
    with simulated(RUSH) as (url, simulator):
        scheduler = Scheduler()

        async def main() -> Any:
            async with async_client(scheduler, library) as http_client:
                model: Any = get_model(
                    f"openai/{MODEL}",
                    config=GenerateConfig(max_connections=CALLS, max_retries=0),
                    base_url=f"{url}/v1",
                    api_key=KEY,
                    responses_api=False,
                    memoize=False,
                    http_client=http_client,
                )
                task = Task(dataset=samples, scorer=includes())
                with scheduler.context(priority="batch", tenant="evaluation"):
                    return await eval_async(task, model=model, log_dir=str(tmp_path), max_samples=CALLS)

        (log,) = run(main)
        assert log.status == "success", log.error and log.error.message
        assert log.results is not None
        assert log.results.completed_samples == CALLS
        assert log.results.scores[0].metrics["accuracy"].value == 1.0
        usage = log.stats.model_usage[f"openai/{MODEL}"]
        assert (usage.input_tokens, usage.output_tokens) == (sum(map(billed, range(CALLS))), CALLS * OUTPUT)
        check_rush(scheduler, simulator, sum(map(billed, range(CALLS))))
        gc.collect()  # now, while what it leaves is expected
