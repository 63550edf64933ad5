"""Words that a server sent, made safe to show: bounded, without control characters, without keys."""

import re

MESSAGE = 500
"""Characters of a message that are kept."""
NAME = 100
"""Characters of a code, type or request id that are kept."""

# A provider masks the key that it complains about; a server that imitates one may echo it whole.
_KEY = re.compile(
    r"\b((?:sk|csk|sess|pk|xai|pplx)-|(?:gsk|fw|gh[opsu]|github_pat|hf)_|AIza)[A-Za-z0-9_*-]{8,}"
    r"|\b(Bearer) +[^\s\"']{8,}"
)


def cleaned(text: str, limit: int) -> str:
    """Return *text* with keys masked, without control characters, terminal escapes and the like, cut to *limit*."""
    text = _KEY.sub(lambda match: f"{match[1] or 'Bearer '}...", text[: 4 * limit])
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return text.strip()[:limit]
