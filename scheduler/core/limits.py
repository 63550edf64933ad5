"""Which limit is ours: the values of a limit that answers state, and when to believe a new one.

**Naive**: adopt the limit of the newest header. One plausible lie, one header that speaks of the day where we meant
the minute, and a budget of 300,000 becomes 12,000,000; 1,700 refusals in 1,000 were measured.

**What a value must do before it is adopted**
- *Nothing was known*: the first sane value is taken; there is nothing to lose.
- *A refusal's body* names it: at once. It is the limiter itself speaking.
- *Lower than ours*: after 3 observations in a row, in the order of sending. Waiting costs refusals, believing a lie
  costs throughput.
- *Higher than ours*: it is a candidate. Every later observation of it must match what a bucket of our window and that
  limit would have done since (within 2 % and what we charged in between), 8 times in a row (3 where 10 s passed). A
  miss, or our own limit seen again more than a second later, makes it *foreign*: another window's value. Foreign
  values are heard again after 20 answers in a row that never named ours, since then ours may be gone; those that a
  refusal's body has disproved are not.

**The invariant**: an observation is either of the limit believed, or moves no level; but where it may be the first of a
lower limit, it makes careful (``suspects``), once for each value that turns out to be none.
"""

from enum import Enum

from scheduler.core.quota import Quota

_LOWER_AGREE = 3
_HIGHER_AGREE, _HIGHER_AGREE_SLOW, _SLOW = 8, 3, 10_000_000_000
_BESIDE = 1_000_000_000
_STRANGERS = 20


class Verdict(Enum):
    """What an observation's limit is to us."""

    OURS = "ours"
    ADOPT = "adopt"
    OTHER = "other"


class _Candidate:
    __slots__ = ("agreed", "limit", "remaining", "since", "total")

    def __init__(self, limit: int, since: int, total: int, remaining: int) -> None:
        self.limit = limit
        self.since = since
        self.total = total
        self.remaining = remaining
        self.agreed = 0


class LimitWatch:
    """Judges the limits that answers state for one bucket."""

    __slots__ = (
        "_candidate",
        "_denied",
        "_disproved",
        "_foreign",
        "_lower",
        "_lower_seen",
        "_lower_since",
        "_strangers",
        "_upgraded_from",
    )

    def __init__(self) -> None:
        self._candidate: _Candidate | None = None
        self._foreign: set[int] = set()
        self._disproved: set[int] = set()
        self._lower = 0
        self._lower_seen = 0
        self._lower_since = 0
        self._denied = 0  # a lower value that was named beside ours
        self._strangers = 0
        self._upgraded_from = 0

    def judge(self, ours: Quota, limit: int, remaining: int, sent: int, total: int, *, newest: bool) -> Verdict:
        """Judge an answer's *limit*.

        Args:
            ours: The quota believed.
            limit: The limit stated, in whole units.
            remaining: The whole units stated to remain.
            sent: When its request was sent, in nanoseconds.
            total: All units charged up to and with that request.
            newest: Whether no answer to a later request has been seen.
        """
        if limit == ours.amount:
            self._ours_again(sent)
            return Verdict.OURS
        if limit < ours.amount:
            return self._judge_lower(limit, sent)
        if limit in self._disproved:
            return Verdict.OTHER
        if limit in self._foreign:
            self._strangers += 1
            if self._strangers >= _STRANGERS:
                self._foreign.discard(limit)
            return Verdict.OTHER
        return self._judge_higher(ours, limit, remaining, sent, total) if newest else Verdict.OTHER

    def suspects(self, limit: int) -> bool:
        """Whether *limit*, just judged, may be the new one, though it is not believed yet."""
        return limit == self._lower != self._denied

    def judge_body(self, ours: Quota, limit: int) -> Verdict:
        """Judge the limit that a refusal names: believed at once, and a disproof of what it contradicts."""
        if limit == ours.amount:
            self._lower = self._lower_seen = self._strangers = 0
            return Verdict.OURS
        if limit == self._upgraded_from:
            self._note_foreign(ours.amount)
            if len(self._disproved) < _STRANGERS:
                self._disproved.add(ours.amount)
        self.adopted(ours, limit)
        return Verdict.ADOPT

    def adopted(self, before: Quota | None, limit: int) -> None:
        """Note that *limit* is now ours."""
        if before is not None and limit > before.amount:
            self._upgraded_from = before.amount
        self._candidate = None
        self._lower = self._lower_seen = self._strangers = 0

    def _ours_again(self, sent: int) -> None:
        if self._candidate is not None and sent > self._candidate.since + _BESIDE:
            self._note_foreign(self._candidate.limit)  # both values live side by side
        self._strangers = 0
        if sent >= self._lower_since:
            self._denied = self._lower or self._denied
            self._lower = self._lower_seen = 0

    def _note_foreign(self, limit: int) -> None:
        self._candidate = None
        if len(self._foreign) < _STRANGERS:  # a server that invents limits must not fill the memory
            self._foreign.add(limit)

    def _judge_lower(self, limit: int, sent: int) -> Verdict:
        if limit != self._lower:
            self._lower, self._lower_seen, self._lower_since = limit, 0, sent
        self._lower_seen += 1
        self._lower_since = min(self._lower_since, sent)
        return Verdict.ADOPT if self._lower_seen >= _LOWER_AGREE else Verdict.OTHER

    def _judge_higher(self, ours: Quota, limit: int, remaining: int, sent: int, total: int) -> Verdict:
        candidate = self._candidate
        if candidate is None or candidate.limit != limit:
            self._candidate = _Candidate(limit, sent, total, remaining)
            return Verdict.OTHER
        charged = total - candidate.total
        refilled = limit * (sent - candidate.since) // ours.window
        forecast = min(limit, candidate.remaining + refilled - charged)
        if abs(remaining - forecast) > limit // 50 + charged:
            self._note_foreign(limit)  # it does not refill as a bucket of our window would
            return Verdict.OTHER
        candidate.agreed += 1
        enough = _HIGHER_AGREE_SLOW if sent >= candidate.since + _SLOW else _HIGHER_AGREE
        return Verdict.ADOPT if candidate.agreed >= enough else Verdict.OTHER
