"""How much had been charged at an instant of the recent past, and what was believed then.

Answers speak of the past, so one has to know what had been charged then, what level was believed, and by which answer.
A list of all
charges would grow with the traffic; here one mark is kept for each slot of 67 ms in which anything was charged, for 4.6
minutes. What an instant is asked for is answered by a binary search, to a slot's accuracy, on the side that the caller
names.

**The invariant**: marks ascend in slot and total, and there are at most twice as many as slots are kept.
"""

from bisect import bisect_left
from typing import NamedTuple

_BITS = 26  # a slot is 2**26 ns
_KEPT = 4096  # slots


def slot_of(instant: int) -> int:
    """Return the slot that an instant lies in."""
    return instant >> _BITS


class Mark(NamedTuple):
    """What was so before the first charge of a slot.

    Attributes:
        slot: Which.
        total: Units charged until then.
        level: What was believed to be there, in scaled units.
        anchored: The instant that the newest answer spoke of, or -1.
        anchored_total: The total at that instant.
        unused: Units that answers had left unused.
        corrected: Units by which charges had been lowered.
        bounced: Units of requests that had been refused or never sent.
    """

    slot: int
    total: int
    level: int
    anchored: int
    anchored_total: int
    unused: int
    corrected: int
    bounced: int


class History:
    """Totals of the recent past. Instants of marks do not go back."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: list[Mark] = []  # of slots in which something was charged

    def mark(self, mark: Mark) -> int:
        """Note what is so before the first charge of a slot; return the instant at which the next begins."""
        marks = self._marks
        marks.append(mark)
        half = len(marks) // 2
        if marks[half].slot < mark.slot - _KEPT:
            del marks[:half]
        return (mark.slot + 1) << _BITS

    def total_at(self, instant: int, total: int, *, later: bool) -> int:
        """Return the total at an instant: not too small if *later*, else not too large; *total* is that of now."""
        marks = self._marks
        index = bisect_left(marks, ((instant >> _BITS) + later,))
        return marks[index][1] if index < len(marks) else total

    def mark_before(self, instant: int) -> Mark | None:
        """Return what was noted last in or before an instant's slot, or None if that is forgotten."""
        index = bisect_left(self._marks, ((instant >> _BITS) + 1,))
        return self._marks[index - 1] if index else None

    def corrected_at(self, instant: int, corrected: int) -> int:
        """Return by how much charges had been lowered at an instant, or a little later; *corrected* is that of now."""
        index = bisect_left(self._marks, ((instant >> _BITS) + 1,))
        return self._marks[index].corrected if index < len(self._marks) else corrected

    def believed_at(self, instant: int) -> int | None:
        """Return the level that was believed before the first charge since an instant, or None if there was none."""
        index = bisect_left(self._marks, (instant >> _BITS,))
        return self._marks[index].level if index < len(self._marks) else None

    def mark_at(self, instant: int) -> Mark | None:
        """Return what was noted in an instant's slot, or None if that is forgotten."""
        slot = instant >> _BITS
        index = bisect_left(self._marks, (slot,))
        return self._marks[index] if index < len(self._marks) and self._marks[index].slot == slot else None

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
        for mark in reversed(self._marks):
            since = mark.slot << _BITS
            if since < now - span:
                break
            most = max(most, (total - mark.total) * scale - rate * (now - since))
        return most
