# /// script
# requires-python = ">=3.11"
# dependencies = ["llmock==0.2.2"]
# [tool.uv]
# exclude-newer = "2026-11-22T00:00:00Z"
# ///
"""llmock, a limiter that nobody here wrote. No contender, but it needs an environment, too."""

from llmock.cli import app

if __name__ == "__main__":
    app()
