"""The README is true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.network
def test_the_embedding_example_runs_as_it_stands_and_is_under_twenty_lines() -> None:
    """The example runs against the simulator, is never refused, and is as short as it claims."""
    example = next(example for example in PYTHON if "anyio.run" in example)
    assert sum(1 for line in example.splitlines() if line.strip()) < 20
    ran = subprocess.run(  # noqa: S603 -- our own example
        [sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, timeout=50, check=False
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines()[-1] == "0 refused"


def test_every_other_example_is_python() -> None:
    """The shorter examples compile, inside the coroutine that they stand in."""
    for example in PYTHON:
        body = "".join(f"    {line}\n" for line in example.splitlines())
        compile(f"async def example():\n{body}", "README.md", "exec")


def test_the_files_that_it_names_exist() -> None:
    """Links to files in the project lead somewhere."""
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    """`make demo` and `make test` exist."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
