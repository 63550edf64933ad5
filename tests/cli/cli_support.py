"""Runs the command inside the test's own process, where nothing needs a process of its own."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scheduler.cli import main

LINE = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]},
}


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Command:
    """The command, with a key in its environment and a folder to work in."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        self.job = folder / "job.jsonl"
        self.job.write_text(json.dumps(LINE) + "\n")
        for name in [name for name in os.environ if "proxy" in name.lower()]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-tests")
        monkeypatch.setenv("COLUMNS", "80")

    def __call__(self, *arguments: Any) -> Ended:
        self._monkeypatch.setattr(sys, "argv", ["scheduler", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err
        return Ended(int(caught.value.code or 0), said.out, said.err)

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    @property
    def left_behind(self) -> set[str]:
        """Files that it made."""
        return {path.name for path in self.folder.iterdir()} - {self.job.name}
