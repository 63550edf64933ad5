# /// script
# requires-python = ">=3.11"
# dependencies = ["quota-scheduler"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# [tool.uv.sources]
# quota-scheduler = { path = "../..", editable = true }
# ///
"""`scheduler run` on a file of requests. The time includes the start of the program, and so does the CPU."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from race import Race


def written(path: Path, limits: Mapping[str, Any]) -> str:
    """Write limits as TOML, and return where. A JSON string is one of TOML, and a mapping of them an inline table."""
    path.write_text("".join(f"{json.dumps(name)} = {inline(each)}\n" for name, each in limits.items()))
    return str(path)


def inline(value: Any) -> str:
    """Return limits as a value of TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {inline(each)}" for name, each in value.items()) + "}"
    return str(value)


def main(race: Race) -> None:
    """Write the job, run it, count its answers."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lines = [
            {
                "custom_id": str(request.number),
                "method": "POST",
                "url": f"/v1/{request.endpoint}",
                "body": request.body,
                "priority": request.priority,
                "project": request.project,
            }
            for request in race.requests
        ]
        (place / "job.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        command = [sys.executable, "-m", "scheduler", "run", str(place / "job.jsonl"), "--base-url", race.url]
        command += ["--output", str(place / "out.jsonl"), "--errors", str(place / "errors.jsonl"), "--json"]
        if race.limits:
            command += ["--limits", written(place / "limits.toml", race.limits)]
        if race.project_limits:
            command += ["--project-limits", written(place / "projects.toml", race.project_limits)]
        race.ready()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        answered = (place / "out.jsonl").read_text(encoding="utf-8").count("\n")
    race.errors["failed"] = len(race.requests) - answered
    race.report(answered)


if __name__ == "__main__":
    main(Race.read(sys.argv[1]))
