"""``make demo``: 100 real chat requests through a simulated API with the limits of a published tier.

The simulator runs in a process of its own and enforces Tier 1 of ``gpt-4o``: 500 requests and 30,000 tokens a minute.
Each request is charged its 512 output tokens at admission, so that 58 go at once and the rest one a second: tokens are
the bottleneck for 42 seconds. The demo fails if anything was lost, or if no limit bound for at least 20 seconds.
"""

import os
import subprocess
import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import msgspec

from scheduler.bulk.summary import Summary

TIER = "1"
_BOUND_AT_LEAST = 20.0  # seconds
_BOUND_SHARE = 0.9  # of what the limit brought


def main() -> int:
    """Run the demo and return an exit code."""
    scheduler = [sys.executable, "-m", "scheduler"]
    with tempfile.TemporaryDirectory() as folder, as_file(files("scheduler") / "samples" / "gsm8k-100.jsonl") as sample:
        provider = subprocess.Popen(  # noqa: S603 -- our own program
            [*scheduler, "simulate", "--tier", TIER, "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert provider.stdout is not None
            url = provider.stdout.readline().rpartition(" ")[2].strip()
            sys.stderr.write(f"100 questions of GSM8K to a simulated gpt-4o at Tier {TIER} ({url})\n")
            output = Path(folder) / "answers.jsonl"
            command = ["run", str(sample), "--output", str(output), "--errors", str(Path(folder) / "errors.jsonl")]
            command += ["--base-url", url, "--tier", TIER, "--json"]
            environment = {**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning:scheduler"}
            ran = subprocess.run(  # noqa: S603 -- our own program
                [*scheduler, *command], stdout=subprocess.PIPE, env=environment, check=False
            )
        except KeyboardInterrupt:
            return 130
        finally:
            provider.terminate()
            provider.wait()
        if ran.returncode:
            return ran.returncode
        summary = msgspec.json.decode(ran.stdout, type=Summary)
        sys.stdout.write(f"{summary}\n")
    return judge(summary)


def judge(summary: Summary) -> int:
    """Return 0 if everything succeeded and a limit bound for long enough, else 1 and say why."""
    if summary.succeeded < summary.requests:
        sys.stderr.write("the demo fails: something was lost\n")
        return 1
    used = max(summary.utilisation.values(), default=0.0)
    if summary.ideal_s is None or summary.ideal_s < _BOUND_AT_LEAST or used < _BOUND_SHARE:
        sys.stderr.write(f"the demo fails: no limit bound for {_BOUND_AT_LEAST:.0f} s\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
