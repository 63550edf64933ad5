"""What ``scheduler run`` was told, checked before anything is opened; every error names the option."""

import contextlib
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from scheduler.config import read_toml, rules_from
from scheduler.errors import ConfigurationError
from scheduler.facade import Limits, Scheduler
from scheduler.http.origins import check_base_url, is_loopback

SPARE_FILES = 64
"""Open files that are left for other than connections."""
MOST_IN_FLIGHT = 1_000
"""Requests in flight, unless told otherwise."""


def limits_of(tier: str | None, file: Path | None, single: Mapping[str, int | None]) -> dict[str, Any]:
    """Return the limits that a file or single options set; none where they are to be learned, or a tier's.

    Raises:
        ConfigurationError: If they are set twice, or unusable.
    """
    given = {name: amount for name, amount in single.items() if amount is not None}
    if sum((tier is not None, file is not None, bool(given))) > 1:
        options = "--tier, --limits, --rpm ..."
        raise ConfigurationError("limits are given twice", options, "give a tier, a file, or single limits")
    if file is not None:
        return _limits_in(file)
    if not given:
        return {}
    try:
        rules_from({"*": given})
    except ConfigurationError as error:
        raise ConfigurationError(error.problem, "--" + error.key.rpartition(".")[2], error.mend) from None
    return {"*": given}


def _limits_in(file: Path) -> dict[str, Any]:
    limits = read_toml(file)
    if not limits:
        raise ConfigurationError("no limits in it", "--limits", 'write ["gpt-5-mini"] and rpm = 500', str(file))
    rules_from(limits, key="--limits", file=str(file))
    return limits


def project_limits_in(file: Path | None) -> Mapping[str, Limits] | None:
    """Return the limits of projects that a file sets.

    Raises:
        ConfigurationError: If they are unusable.
    """
    if file is None:
        return None
    projects = read_toml(file)
    for name, limits in projects.items():
        if not isinstance(limits, Mapping) or not limits:
            mend = 'write ["project"."gpt-5-mini"] and rpm = 500'
            raise ConfigurationError("no limits of a project", f"--project-limits.{name}", mend, str(file))
        rules_from(limits, key=f"--project-limits.{name}", file=str(file))
    return projects


def concurrency_of(asked: int | None) -> int:
    """Return how many requests may be in flight: each needs a connection, and each connection an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(0, MOST_IN_FLIGHT if asked is None else asked) + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if asked is not None:
        return asked
    return MOST_IN_FLIGHT if soft == resource.RLIM_INFINITY else max(1, min(MOST_IN_FLIGHT, soft - SPARE_FILES))


def make_scheduler(provider: str, *, allow_plain_http: bool, **settings: Any) -> Scheduler:
    """Make a scheduler of options, and make sure that it will find and reach its provider safely.

    Raises:
        ConfigurationError: If an option is unusable, or there is no key for another machine.
    """
    try:
        scheduler = Scheduler(provider, allow_plain_http=allow_plain_http, **settings)
        _check_reach(scheduler, allow_plain_http=allow_plain_http)
    except ConfigurationError as error:
        if error.key in {"provider", "allow_plain_http", *settings}:
            error.key = "--" + error.key.replace("_", "-")
        raise
    return scheduler


def _check_reach(scheduler: Scheduler, *, allow_plain_http: bool) -> None:
    provider = scheduler.provider
    key = os.environ.get(provider.key_variable)
    check_base_url(provider.base_url, secret=False, allow_plain_http=True)
    if not key and not is_loopback(httpx.URL(provider.base_url).host):
        variable = provider.key_variable
        raise ConfigurationError("no key", variable, f"set the environment variable {variable}")
    check_base_url(provider.base_url, secret=bool(key), allow_plain_http=allow_plain_http)
    if key:
        provider.authorize(key)


def paths_of(source: Path, output: Path | None, errors: Path | None) -> tuple[Path, Path]:
    """Return where results and failures of a job go.

    Raises:
        ConfigurationError: If they are not two files beside the job's own.
    """
    if source.is_dir():
        raise ConfigurationError("is a directory", "INPUT", "name a file of requests", str(source))
    stem = source.with_suffix("")
    output = output or stem.with_name(stem.name + ".output.jsonl")
    errors = errors or stem.with_name(stem.name + ".errors.jsonl")
    if len({path.resolve() for path in (source, output, errors)}) < len((source, output, errors)):
        mend = "give each a name of its own"
        raise ConfigurationError("input, output and errors must be three files", "--output, --errors", mend)
    return output, errors
