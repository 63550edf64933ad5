"""Settings: files and arguments; every error names file, key and mend."""

from pathlib import Path
from typing import Any

import pytest

from scheduler import ConfigurationError, Priority, Scheduler
from scheduler.config import read_settings
from scheduler.priority import priority_of
from scheduler.providers.openai import OpenAI
from scheduler.tokens.text import TiktokenCounter

FULL = """
provider = "openai"
base_url = "https://a.example/v1"
tier = 3
concurrency = 7
max_queued = 100
max_attempts = 4
timeout = 30

[limits.gpt-5-mini]
rpm = 500
tpm = 500_000

[limits."*"]
rpm = 60

[project_limits.p.gpt-5-mini]
tpm = 1000
"""


def _write(path: Path, text: str) -> Path:
    file = path / "scheduler.toml"
    file.write_text(text)
    return file


def test_a_file_makes_a_scheduler(tmp_path: Path) -> None:
    """A file's settings are the arguments; overrides count before them."""
    scheduler = Scheduler.from_file(_write(tmp_path, FULL), concurrency=2)
    scheduler.reserve_nowait("gpt-5-mini", project="p", tokens=10).settle()
    seen = {scope.name: {b.quota: b.limit for b in scope.buckets} for scope in scheduler.statistics().scopes}
    assert seen == {
        "gpt-5-mini": {"rpm": 500, "tpm": 500_000},
        "p/gpt-5-mini": {"tpm": 1000},
        "local": {"concurrency": 2},
    }
    assert scheduler.admission.max_queued == 100
    assert read_settings(tmp_path / "scheduler.toml").tier == "3"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("limts = 5", "limts"),
        ("concurrency = 'many'", "concurrency"),
        ("concurrency = 0", "concurrency"),
        ("max_queued = -1", "max_queued"),
        ("max_attempts = 0", "max_attempts"),
        ("longest_delay = 0", "longest_delay"),
        ("growth = 'slow'", "growth"),
        ("timeout = 0", "timeout"),
        ("timeout = nan", "timeout"),
        ("timeout = inf", "timeout"),
        ("provider = 'nobody'", "provider"),
        ("tier = 99", "tier"),
        ("limits = 5", "limits"),
        ("[limits]\nm = 5", "limits.m"),
        ("[limits.m]", "limits.m"),
        ("[limits.m]\nrpx = 5", "limits.m.rpx"),
        ("[limits.m]\nrpm = 1.5", "limits.m.rpm"),
        ("[limits.m]\nrpm = 0", "limits.m.rpm"),
        ("[limits.'']\nrpm = 5", "limits"),
        ("project_limits = 5", "project_limits"),
        ("[project_limits]\np = 5", "project_limits.p"),
        ("[project_limits.p.m]\nrpm = -1", "project_limits.p.m.rpm"),
    ],
)
def test_an_unusable_setting(tmp_path: Path, text: str, key: str) -> None:
    """The error names the file, the key and the mend."""
    file = _write(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        Scheduler.from_file(file)
    error = caught.value
    assert (error.file, error.key) == (str(file), key)
    assert error.mend
    assert str(file) in str(error)
    assert key in str(error)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"a = ", b""])
def test_an_unusable_file(tmp_path: Path, content: bytes | None) -> None:
    """A file that is absent, no text or no TOML is named with the mend; an empty one is all defaults."""
    file = tmp_path / "scheduler.toml"
    if content is not None:
        file.write_bytes(content)
    if content == b"":
        assert read_settings(file).provider == "openai"
        return
    with pytest.raises(ConfigurationError) as caught:
        Scheduler.from_file(file)
    assert caught.value.file == str(file)
    assert caught.value.mend


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"limits": ["m"]}, "limits"),
        ({"project_limits": ["m"]}, "project_limits"),
        ({"concurrency": 1.5}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"max_attempts": float("inf")}, "max_attempts"),
    ],
)
def test_an_unusable_argument(settings: dict[str, Any], key: str) -> None:
    """Arguments are checked as a file's settings are."""
    with pytest.raises(ConfigurationError) as caught:
        Scheduler(**settings)
    assert caught.value.key == key


def test_limits_count_before_the_tier() -> None:
    """One's own limits take the place of the tier's for that name, whichever of its models comes first."""
    for models in (("gpt-4", "gpt-4-0613"), ("gpt-4-0613", "gpt-4")):
        scheduler = Scheduler(tier=1, limits={"gpt-4": {"rpm": 7}})
        for model in models:
            scheduler.reserve_nowait(model).cancel()
        (scope,) = scheduler.statistics().scopes
        assert scope.buckets[0].limit == 7


def test_an_adapter_of_ones_own() -> None:
    """An adapter that no catalogue speaks of serves, without prices."""
    provider = OpenAI(TiktokenCounter())
    provider.name = "mine"
    scheduler = Scheduler(provider)
    scheduler.reserve_nowait("m").settle(tokens=5)
    assert scheduler.statistics().cost == 0


def test_a_growth_that_nobody_states_cannot_be_kept() -> None:
    """Where an adapter states none, the setting says so."""
    provider = OpenAI(TiktokenCounter())
    provider.growth = None
    with pytest.raises(ConfigurationError, match="states no limit") as caught:
        Scheduler(provider, growth="documented")
    assert caught.value.key == "growth"


@pytest.mark.parametrize(("value", "means"), [(7, 7), ("batch", 100), ("Interactive", 0), (Priority.NORMAL, 50)])
def test_priorities(value: int | str, means: int) -> None:
    """A priority is a number or a name."""
    assert priority_of(value) == means


@pytest.mark.parametrize("value", ["urgent", True, None])
def test_no_priority(value: Any) -> None:
    """Anything else is refused with the names that are known."""
    with pytest.raises(ConfigurationError, match="interactive"):
        priority_of(value)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_no_time_to_wait(timeout: float) -> None:
    """A timeout below zero is refused; an infinite one is none."""
    scheduler = Scheduler(limits={"m": {"rpm": 60}})
    with pytest.raises(ConfigurationError, match="timeout"):
        scheduler.reserve("m", timeout=timeout)
    with scheduler.reserve("m", timeout=float("inf")):
        pass
