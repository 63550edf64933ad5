"""What the rooms above ask of a counter of tokens."""

from typing import Protocol


class TokenCounter(Protocol):
    """Sizes of text before it is sent. Never blocks and never raises; an unknown model is counted all the same."""

    def count(self, text: str, model: str) -> int:
        """Return the number of tokens of *text* for *model*, exact or estimated."""
        ...
