"""The demo: what it runs, and when it fails."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from run_support import environment

from scheduler.bulk.summary import Summary
from scheduler.demo import judge

GOOD = Summary(100, 100, 0, 100, 0, 0, 43.8, 42.9, 21_804, 0.1573, {"tokens": 0.99, "requests": 0.12})


def test_a_run_that_a_limit_bound_passes() -> None:
    """Everything succeeded, and the limit was used to the full for long enough."""
    assert judge(GOOD) == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"succeeded": 99, "failed": 1}, "lost"),
        ({"ideal_s": None}, "no limit bound"),
        ({"ideal_s": 5.0}, "no limit bound"),
        ({"utilisation": {}}, "no limit bound"),
        ({"utilisation": {"tokens": 0.4}}, "no limit bound"),
    ],
)
def test_a_run_that_shows_nothing_fails(
    changes: dict[str, object], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A demo that lost something, or that no limit bound, says so and fails."""
    assert judge(replace(GOOD, **changes)) == 1  # type: ignore[arg-type]  # fields by name
    assert words in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_demo_runs() -> None:
    """100 real requests through Tier 1 of gpt-4o: nothing refused, nothing lost."""
    ran = subprocess.run(
        [sys.executable, "-m", "scheduler.demo"],
        capture_output=True,
        text=True,
        env={**environment(None), "PATH": os.environ["PATH"]},
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "100 of 100 succeeded, 0 failed" in ran.stdout
    assert "100 sent, 0 refused (429), 0 retries" in ran.stdout
