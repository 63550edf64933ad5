# /// script
# requires-python = ">=3.11"
# dependencies = ["bespokelabs-curator==0.1.31"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""Curator of Bespoke Labs, as its docs show it for an API like OpenAI's: a backend with a `base_url`.

The option is the backend: ``openai``, which its docs name for this, or ``litellm``. It is told the limits as
`max_requests_per_minute` and `max_tokens_per_minute`; without, it asks the provider for them by a request of its own.
It runs a loop of its own, for one model: where there are several, as many run side by side, in threads. The time
includes what it writes before and after. What is set beyond that:

- `max_retries` is 10 by default, and its README sets 50 for a busy API. Here as many as it wants.
- `invalid_finish_reasons` has `length` by default: an answer that its cap has cut is asked for again, up to the last
  try. Here cut answers are answers, as they are for all.
- `require_all_responses` is off: where one is missing, the others count.
- No cache, no viewer, no telemetry, no redrawn display, all by its environment variables; its files are in a temporary
  home.
"""

import json
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

os.environ |= {
    "HOME": tempfile.mkdtemp(),
    "HF_HUB_OFFLINE": "1",
    "TELEMETRY_ENABLED": "False",
    "CURATOR_DISABLE_CACHE": "true",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_API_KEY": "none",
}

from bespokelabs import curator
from race import Race, Request

TRIES = 1_000


class Asker(curator.LLM):  # type: ignore[misc]  # it has no types
    """Sends what it is given."""

    def prompt(self, row: dict[str, Any]) -> list[dict[str, str]]:
        """Return the messages."""
        messages: list[dict[str, str]] = json.loads(row["messages"])
        return messages

    def parse(self, row: dict[str, Any], response: str) -> dict[str, str]:
        """Return the answer."""
        return {"number": row["number"], "answer": response}


def main(race: Race) -> None:
    """Write the job, run it, count its answers."""
    by_model = defaultdict(list)
    for request in race.requests:
        by_model[request.model].append(_row(request))
    askers = {model: _asker(race, model) for model in by_model}
    race.ready()
    with ThreadPoolExecutor(len(askers)) as threads:
        answered = sum(threads.map(lambda model: _run(askers[model], by_model[model]), askers))
    race.errors["failed"] = len(race.requests) - answered
    race.report(answered)
    shutil.rmtree(os.environ["HOME"], ignore_errors=True)


def _row(request: Request) -> dict[str, str]:
    settings = {name: value for name, value in request.body.items() if name not in ("model", "messages")}
    return {
        "number": str(request.number),
        "messages": json.dumps(request.body["messages"]),
        "generation_params": json.dumps(settings),
    }


def _asker(race: Race, model: str) -> Asker:
    limits = race.limits.get(model, {})
    params = {
        "base_url": race.url,
        "max_retries": TRIES,
        "require_all_responses": False,
        "invalid_finish_reasons": ["content_filter"],
    }
    if "rpm" in limits:
        params["max_requests_per_minute"] = limits["rpm"]
    if "tpm" in limits:
        params["max_tokens_per_minute"] = limits["tpm"]
    name = model if race.option == "openai" else f"openai/{model}"
    return Asker(model_name=name, backend=race.option, backend_params=params)


def _run(asker: Asker, rows: list[dict[str, str]]) -> int:
    return len(asker(rows).dataset)


if __name__ == "__main__":
    main(Race.read(sys.argv[1]))
