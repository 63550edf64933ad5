"""Environments of scripts that say in their heads what they need (PEP 723), made from the registry as of one day."""

import subprocess
import sys
from pathlib import Path


def interpreter(script: Path) -> str:
    """Return the interpreter of a script's environment, which is made unless it is there."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "sync", "--quiet", "--python", sys.executable, "--script", str(script)], check=True)
    found = subprocess.run(
        [*uv, "python", "find", "--script", str(script)], stdout=subprocess.PIPE, text=True, check=True
    )
    return found.stdout.strip()
