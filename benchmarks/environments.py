"""Environments of scripts that say in their heads what they need (PEP 723), made from the registry as of one day."""

import re
import subprocess
import sys
from pathlib import Path


def interpreter(script: Path) -> str:
    """Return the interpreter of a script's environment, which is made unless it is there."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "sync", "--quiet", *_python(script), "--script", str(script)], check=True)
    found = subprocess.run(
        [*uv, "python", "find", "--script", str(script)], stdout=subprocess.PIPE, text=True, check=True
    )
    return found.stdout.strip()


def available(name: str, script: Path) -> bool:
    """Make a script's environment; say who is left out where that cannot be done, as for want of a Python."""
    try:
        interpreter(script)
    except subprocess.CalledProcessError:
        print(f"{name} is left out: its environment cannot be made", file=sys.stderr, flush=True)
        return False
    return True


def _python(script: Path) -> list[str]:
    """Choose this Python, or where the script cannot live with it, whichever uv finds on the path."""
    oldest = re.search(r'^# requires-python = ">=3\.(\d+)"', script.read_text(encoding="utf-8"), re.MULTILINE)
    return [] if oldest and int(oldest[1]) > sys.version_info.minor else ["--python", sys.executable]
