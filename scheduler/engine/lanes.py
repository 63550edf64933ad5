"""The lanes of an admission, found by model and project."""

from collections.abc import Iterator

from scheduler.core.reserves import Reserves
from scheduler.engine.lane import Lane
from scheduler.engine.scopes import Scope, ScopeBook

NAMES_KNOWN = 10_000
"""How many ways to lanes are remembered; names come from outside."""


class LaneBook:
    """Finds, and makes, the lane of a request. Every method is called under the admission's lock."""

    __slots__ = ("_book", "_known", "_lanes", "_local", "reserves")

    def __init__(self, book: ScopeBook, local: Scope | None, reserves: Reserves) -> None:
        """Make lanes of the scopes of *book*, and of *local*, which every request draws on."""
        self._book = book
        self._local = local
        self.reserves = reserves
        self._known: dict[tuple[str, str | None, int], Lane] = {}
        self._lanes: dict[tuple[tuple[int, ...], int], Lane] = {}

    def __iter__(self) -> Iterator[Lane]:
        return iter(list(self._lanes.values()))

    def __len__(self) -> int:
        return len(self._lanes)

    def find(self, model: str, project: str | None, mask: int, now: int) -> Lane:
        """Return the lane of a request for *model*, charged in the dimensions of *mask*."""
        lane = self._known.get((model, project, mask))
        return self._find(model, project, mask, now) if lane is None else lane

    def _find(self, model: str, project: str | None, mask: int, now: int) -> Lane:
        scopes, dropped = self._book.scopes_for(model, project, now)
        for scope in dropped:
            self._forget(scope)
        if self._local is not None:
            scopes = (*scopes, self._local)
        key = (tuple(id(scope) for scope in scopes), mask)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(scopes, mask, self.reserves)
            for scope in scopes:
                scope.lanes.append(lane)
        if len(self._known) >= NAMES_KNOWN:
            self._known.clear()
        self._known[model, project, mask] = lane
        return lane

    def _forget(self, scope: Scope) -> None:
        gone = {id(lane) for lane in scope.lanes}
        self._lanes = {key: lane for key, lane in self._lanes.items() if id(lane) not in gone}
        self._known = {key: lane for key, lane in self._known.items() if id(lane) not in gone}
        for other in {id(other): other for lane in scope.lanes for other in lane.scopes}.values():
            other.lanes = [lane for lane in other.lanes if id(lane) not in gone]

    def changed(self) -> None:
        """Rules have changed: find each lane anew, and charge those that are known as their scopes do now."""
        self._known.clear()
        for lane in self._lanes.values():
            lane.rebuild()

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
        self._lanes.clear()
