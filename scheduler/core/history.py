"""How much had been charged at an instant of the recent past, and what was believed then.

Answers speak of the past, so one has to know what had been charged then, what level was believed, and by which answer.
A list of all
charges would grow with the traffic; here one mark is kept for each slot of 67 ms in which anything was charged, for 4.6
minutes. What an instant is asked for is answered by a binary search, to a slot's accuracy, on the side that the caller
names.

**The invariant**: marks ascend in slot and total, and there are at most twice as many as slots are kept.
"""

from bisect import bisect_left

_BITS = 26  # a slot is 2**26 ns
_KEPT = 4096  # slots

Anchor = tuple[int, int]
"""The instant that the newest answer speaks of, and the total then."""


class History:
    """Totals of the recent past. Instants of marks do not go back."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        # (slot, total and level before it, anchor then), for slots in which something was charged
        self._marks: list[tuple[int, int, int, Anchor]] = []

    def mark(self, now: int, total: int, level: int, anchor: Anchor) -> int:
        """Note *total*, *level* and *anchor* before the first charge of a slot; return when the next begins."""
        slot = now >> _BITS
        marks = self._marks
        marks.append((slot, total, level, anchor))
        half = len(marks) // 2
        if marks[half][0] < slot - _KEPT:
            del marks[:half]
        return (slot + 1) << _BITS

    def total_at(self, instant: int, total: int, *, later: bool) -> int:
        """Return the total at an instant: not too small if *later*, else not too large; *total* is that of now."""
        marks = self._marks
        index = bisect_left(marks, ((instant >> _BITS) + later,))
        return marks[index][1] if index < len(marks) else total

    def believed_at(self, instant: int) -> int | None:
        """Return the level that was believed before the first charge since an instant, or None if there was none."""
        index = bisect_left(self._marks, (instant >> _BITS,))
        return self._marks[index][2] if index < len(self._marks) else None

    def anchor_at(self, instant: int) -> Anchor | None:
        """Return the anchor before the first charge of an instant's slot, or None if that is forgotten."""
        slot = instant >> _BITS
        index = bisect_left(self._marks, (slot,))
        return self._marks[index][3] if index < len(self._marks) and self._marks[index][0] == slot else None

    def owed(self, now: int, total: int, rate: int, scale: int, span: int) -> int:
        """Return the most that was charged beyond the refill since any instant of the last *span* nanoseconds.

        Args:
            now: The instant.
            total: Whole units charged until then.
            rate: Scaled units that refill in a nanosecond.
            scale: Scaled units in a whole one.
            span: How far to look back.
        """
        most = 0
        for slot, before, *_ in reversed(self._marks):
            since = slot << _BITS
            if since < now - span:
                break
            most = max(most, (total - before) * scale - rate * (now - since))
        return most
