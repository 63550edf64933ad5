"""Tokens of a text: estimated from its bytes, or counted by tiktoken where its encodings are at hand."""

_STEP = 1 << 20


class ByteEstimate:
    """Four bytes of UTF-8 to a token, rounded up. Near enough for English and code; needs nothing."""

    def count(self, text: str, model: str) -> int:  # noqa: ARG002  # every model alike
        """Return the estimated tokens of *text*; at least 1 unless it is empty."""
        if text.isascii():
            return -(-len(text) // 4)
        size = sum(len(text[at : at + _STEP].encode("utf-8", "surrogatepass")) for at in range(0, len(text), _STEP))
        return -(-size // 4)
