"""How many of a long queue stand before an arrival: sums over blocks of arrivals.

A search tree would answer exactly, and would cost more than the heap that serves the queue. Here the numbers that wait
are summed in blocks of 256 arrivals, and in blocks of 256 of those: two additions when one comes, two when one goes,
and an answer that is within 256 of the truth for a few hundred additions, up to some ten million that wait.
"""

from collections.abc import Iterable

_BLOCK, _SUPERBLOCK = 8, 16  # bits of the arrival


class Counts:
    """Numbers of those who wait, by their arrivals."""

    __slots__ = ("_blocks", "_superblocks")

    def __init__(self, arrivals: Iterable[int]) -> None:
        """Begin with those who wait."""
        self._blocks: dict[int, int] = {}
        self._superblocks: dict[int, int] = {}
        for arrival in arrivals:
            self.add(arrival)

    def add(self, arrival: int) -> None:
        """One has come."""
        block, superblock = arrival >> _BLOCK, arrival >> _SUPERBLOCK
        self._blocks[block] = self._blocks.get(block, 0) + 1
        self._superblocks[superblock] = self._superblocks.get(superblock, 0) + 1

    def remove(self, arrival: int) -> None:
        """One has left."""
        for sums, block in ((self._blocks, arrival >> _BLOCK), (self._superblocks, arrival >> _SUPERBLOCK)):
            number = sums[block] - 1
            if number:
                sums[block] = number
            else:
                del sums[block]

    def before(self, arrival: int) -> int:
        """Return how many came before an arrival, not counting its own block."""
        superblock, block = arrival >> _SUPERBLOCK, arrival >> _BLOCK
        whole = sum(number for each, number in self._superblocks.items() if each < superblock)
        first = superblock << (_SUPERBLOCK - _BLOCK)
        return whole + sum(self._blocks.get(each, 0) for each in range(first, block))
