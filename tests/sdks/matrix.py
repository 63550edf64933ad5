"""The tests of real SDKs, each in an environment that it can live in: ``make sdks``.

SDKs do not agree on their dependencies: the newest ones have left httpx for httpx2, and some of those before them
cannot live with it. So each row of ``ENVIRONMENTS`` is an environment of its own. It is made once, beneath
``SDKS_CACHE`` (``.sdks`` in the repository, unless told), and again only if what it is made of changes: its
requirements, ours, the interpreter, or this checkout's place. All versions are as of one day, so that a release of
somebody else's turns nothing red.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("SDKS_CACHE") or ROOT / ".sdks").resolve()
AS_OF = "2026-11-22T00:00:00Z"
MADE_AT_ONCE = 2
RUN_AT_ONCE = 4  # they wait more than they work
NONE_SELECTED = 5  # pytest's word for a file all of whose tests are slow


@dataclass(frozen=True)
class Environment:
    """An environment.

    Attributes:
        name: Its name.
        requirements: What is installed in addition to the package and pytest.
        tests: Its files of tests.
    """

    name: str
    requirements: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where it lies: its name, and a digest of all that it is made of."""
        made_of = "\n".join([*self.requirements, *_own_requirements(), AS_OF, sys.version, str(ROOT)])
        return CACHE / f"{self.name}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"


_BOTH = (
    "test_openai_sdk.py",
    "test_openai_sdk_errors.py",
    "test_openai_sdk_uploads.py",
    "test_anthropic_sdk.py",
    "test_mistral_sdk.py",
    "test_gemini_sdk.py",
)
ENVIRONMENTS = (
    Environment(
        "harness",
        ("inspect-ai==0.3.285", "openai==3.54.0", "llmock==0.2.2"),
        ("test_llmock_tightest.py", "test_llmock_limits.py", "test_llmock_bulk.py", "test_inspect_sdk.py"),
    ),
    Environment(
        "httpx2",
        (
            "openai==3.54.0",
            "anthropic==2.12.0",
            "mistralai==3.7.0",
            "google-genai==3.4.0",
            "langchain-openai==1.7.3",
            "pydantic-ai-slim[anthropic,openai]==2.68.0",
            "llmock==0.2.2",
        ),
        (*_BOTH, "test_langchain_sdk.py", "test_pydantic_ai_sdk.py"),
    ),
    Environment(
        # The last releases that live on httpx alone.
        "httpx",
        (
            "openai==2.54.0",
            "anthropic==0.125.0",
            "mistralai==2.10.1",
            "google-genai==2.34.0",
            "groq==1.7.0",
            "llmock==0.2.2",
        ),
        (*_BOTH, "test_groq_sdk.py", "test_httpx_alone.py"),
    ),
)


def main(words: Sequence[str]) -> int:
    """Run the environments that are named, or all, with ``--slow`` their slow tests too; return 0 if all did well."""
    known = {environment.name: environment for environment in ENVIRONMENTS}
    slow = "--slow" in words
    names = [word for word in words if word != "--slow"] or list(known)
    if unknown := set(names) - set(known):
        print(f"no environment is called {', '.join(sorted(unknown))}; known are {', '.join(known)}")
        return 2
    wanted = [known[name] for name in names]
    CACHE.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    with ThreadPoolExecutor(MADE_AT_ONCE) as threads:
        made = list(threads.map(_make, wanted))
    for environment, process in zip(wanted, made, strict=True):
        if process.returncode:
            print(f"{environment.name} cannot be made\n{process.stdout}")
            return 1
    print(f"{len(wanted)} environments made or found in {time.monotonic() - begin:.1f} s", flush=True)
    files = [(environment, file) for environment in wanted for file in environment.tests]
    with ThreadPoolExecutor(RUN_AT_ONCE) as threads:
        counts = list(threads.map(lambda job: _run(*job, slow=slow), files))
    total = sum(counts, Counter[str]())
    print(f"{time.monotonic() - begin:.1f} s in all")
    print(f"{total['passed']} passed, {total.total() - total['passed']} failed")
    return int(not total or total.total() != total["passed"])


def _run(environment: Environment, file: str, *, slow: bool) -> Counter[str]:
    """Run a file of tests, warnings being errors as everywhere; return the tests by outcome, and say what there was.

    A file is a process: so each imports no SDK but its own, which costs more than most tests.
    """
    options = ["--confcutdir=tests/sdks", "-p", "no:cacheprovider", "-q"]
    options += [] if slow else ["-m", "not slow"]
    # No key or address of anybody's leads out of here.
    variables = {name: value for name, value in os.environ.items() if not re.search("_(API_KEY|BASE_URL)$", name)}
    variables["SDKS_MATRIX"] = environment.name
    begin = time.monotonic()
    done = _call(
        str(_python(environment.folder)), "-m", "pytest", *options, str(Path("tests/sdks") / file), **variables
    )
    took = time.monotonic() - begin
    last = (done.stdout.strip().splitlines() or ["said nothing"])[-1]
    counts = Counter(
        {outcome: int(count) for count, outcome in re.findall(r"(\d+) (passed|failed|errors?|skipped)", last)}
    )
    if done.returncode == NONE_SELECTED and not slow:
        return counts
    if done.returncode and counts.total() == counts["passed"]:
        counts["failed"] += 1  # it did not come so far as to count
    if counts.total() != counts["passed"]:
        print(f"\n==== {environment.name}: {file}\n{done.stdout}")
    print(f"{environment.name:8} {file:28} {took:5.1f} s  {dict(counts)}", flush=True)
    return counts


def _make(environment: Environment) -> "subprocess.CompletedProcess[str]":
    """Make an environment unless it is there, in place of what went by its name before."""
    folder = environment.folder
    if (folder / "ready").exists():
        return subprocess.CompletedProcess((), 0, "", "")
    for older in CACHE.glob(f"{environment.name}-*"):
        shutil.rmtree(older)
    made = _uv("venv", "--quiet", "--python", sys.executable, str(folder))
    if made.returncode == 0:
        wanted = ("--editable", str(ROOT), *_tools(), *environment.requirements)
        made = _uv("pip", "install", "--quiet", "--exclude-newer", AS_OF, "--python", str(_python(folder)), *wanted)
    if made.returncode == 0:
        (folder / "ready").touch()
    return made


def _python(folder: Path) -> Path:
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def _uv(*words: str) -> "subprocess.CompletedProcess[str]":
    return _call(sys.executable, "-m", "uv", *words, **os.environ)


def _call(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, cwd=ROOT, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )


def _tools() -> list[str]:
    """Return pytest and its plugins as the project has them."""
    return [tool for tool in _project()["dependency-groups"]["dev"] if tool.startswith("pytest")]


def _own_requirements() -> list[str]:
    return [*_project()["project"]["dependencies"], *_tools()]


def _project() -> dict[str, dict[str, list[str]]]:
    project: dict[str, dict[str, list[str]]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return project


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
