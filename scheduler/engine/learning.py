"""What answers teach the accounts of a request's scopes.

One answer speaks of several buckets. Each observation is matched to the one account that it is about, by dimension,
window and whether it is the project's; every other account learns only that it was not told anything. A refusal is
caused by one bucket. Where its body or its headers prove which, that one learns from it and the others get the charge
back; where nothing does, the emptiest is blamed and the scope's gate closes, until one probe has gone through.
"""

from collections.abc import Callable
from dataclasses import replace

from scheduler.core.backoff import Backoff
from scheduler.core.quota import DAY, MINUTE, SECOND, Dimension, Quota
from scheduler.core.ramp import STRETCH, Flow, Ramp
from scheduler.core.reconcile import NOTES, Account, Ticket
from scheduler.engine.charges import Charges
from scheduler.engine.estimates import Estimates
from scheduler.engine.events import Answered, Event, LimitChanged, Paused
from scheduler.engine.reservation import Reservation
from scheduler.engine.scopes import Scope, ScopeBook
from scheduler.providers.base import Cause, Observation, Outcome, Provider, Reading, Settlement, Usage

_BILLED = {Dimension.TOKENS, Dimension.INPUT_TOKENS, Dimension.OUTPUT_TOKENS}
_CLOSING = {Cause.OVERLOAD, Cause.RAMP, Cause.EDGE}
_PROBES = 4 * SECOND  # at most, between two probes of a closed gate, unless the server names a longer delay
_MEMORY = 7 * STRETCH * SECOND  # for which a closed gate disturbs what is measured
_STUBBORN = 3  # events in a row that hidden windows explain; then the gate closes all the same


class Learner:
    """Corrects accounts and gates. Every method is called under the admission's lock."""

    def __init__(self, provider: Provider, book: ScopeBook, backoff: Backoff, chance: Callable[[], float]) -> None:
        """Begin with what the provider's adapter states about charges."""
        self._provider = provider
        self._book = book
        self._backoff = replace(backoff, most=min(backoff.most, _PROBES))
        self._chance = chance
        self.charges = Charges(provider.name, provider.endpoints)
        """What answers told of charges."""
        self.estimates = Estimates(provider.endpoints)
        """What they taught."""

    def learn(self, reservation: Reservation, reading: Reading, now: int) -> list[Event]:
        """Learn from an answer whose headers came at *now*; return what there is to tell."""
        if reservation.outcome is Outcome.THROTTLED:
            return []  # what was refused and given back is over
        if reservation.answered and reading.outcome is not Outcome.SUCCESS and not reading.observations:
            return self._interrupted(reservation, reading, now)
        reservation.outcome = reading.outcome
        reservation.answered = True
        for scope in reservation.lane.scopes:
            scope.ignored += reading.ignored
        events: list[Event] = [told(reservation, reading.cause, now)]
        if reading.outcome is Outcome.THROTTLED and reading.cause is Cause.RATE:
            self._refused(reservation, reading, now, events)
        else:
            self._answered(reservation, reading, now, events)
            if reading.cause in _CLOSING:
                self._overloaded(reservation, reading, now, events)
        return events

    def _interrupted(self, reservation: Reservation, reading: Reading, now: int) -> list[Event]:
        """Learn from an error within an answer whose headers have taught the accounts: its charge stands."""
        reservation.outcome = reading.outcome
        events: list[Event] = [told(reservation, reading.cause, now)]
        if reading.cause in _CLOSING:
            self._overloaded(reservation, reading, now, events)
        elif reading.outcome is Outcome.THROTTLED:
            self._close(reservation, reading, now, events)
        return events

    def ended(self, reservation: Reservation, usage: Usage | None, now: int) -> bool:
        """Learn from a reservation's end, and return whether nobody has told of its answer."""
        if reservation.ended_by == "cancel":
            _undo(reservation, now)
            return False
        answered = reservation.answered
        outcome = reservation.outcome
        if outcome is None:
            outcome = reservation.outcome = Outcome.SUCCESS
        name = outcome.value
        for scope in reservation.lane.scopes:
            scope.flying -= 1
            scope.gate.flying -= 1
            scope.outcomes[name] = scope.outcomes.get(name, 0) + 1
            if scope.ramp is not None and _outgrown(scope, scope.ramp, now):
                _set_ramp(scope, None)
        if answered:
            for ticket in reservation.tickets:
                ticket.account.release(ticket, now)
        else:
            at, sent, notes = reservation.at, reservation.sent, reservation.notes
            for index, (account, _) in enumerate(reservation.draws):
                account.unheard(notes[index * NOTES], at, sent, now)
            if outcome is Outcome.SUCCESS:
                self._open_gates(reservation, now)
        if usage is not None:
            self._settle(reservation, usage, now)
        return not answered

    # ---- answers

    def _answered(self, reservation: Reservation, reading: Reading, now: int, events: list[Event]) -> None:
        matched = self._match(reservation, reading.observations, now, events)
        exact = None
        for ticket in reservation.tickets:
            account = ticket.account
            said = matched.get(account)
            hidden = account.hidden
            before = account.bucket.quota.amount if account.known else None
            if said is None:
                account.answered(ticket, reservation.sent, now, None, 0)
            elif account.answered(ticket, reservation.sent, now, said.limit, said.remaining):
                _note_change(account, before, events)
            if ticket.taken is not None:
                self.charges.note(reservation.endpoint, account.dimension, ticket.taken, ticket.units)
                if ticket.exact and account.dimension is Dimension.TOKENS:
                    exact = ticket.taken
            if hidden is None and account.hidden is not None:
                _explained(reservation, now)
        if exact is not None and reservation.candidates:
            self.estimates.learn(reservation, exact)
        if reading.outcome is Outcome.SUCCESS:
            self._open_gates(reservation, now)

    def _open_gates(self, reservation: Reservation, now: int) -> None:
        for scope in reservation.lane.scopes:
            gate = scope.gate
            if gate.window:
                gate.answered(reservation.sent)
                _open_if_learned(scope)
                if gate.is_open:
                    _ease(reservation, now)

    def _refused(self, reservation: Reservation, reading: Reading, now: int, events: list[Event]) -> None:
        culprits = self._culprits(reservation, reading, now, events)
        told = self._match(reservation, reading.observations, now, events) if culprits else {}
        for ticket in reservation.tickets:
            account = ticket.account
            charged = account.dimension in self._provider.refusals_charged
            before = account.bucket.quota.amount if account.known else None
            if account not in culprits:
                if charged:
                    continue
                account.refund(ticket, now)
                said = told.get(account)
                if said is not None and account.overheard(ticket, reservation.sent, now, said.limit, said.remaining):
                    _note_change(account, before, events)
                continue
            wait = reading.refused.wait if reading.refused is not None else None
            proof, asked = culprits[account], reading.delay
            if account.refused(ticket, reservation.sent, now, proof, charged=charged, wait=wait, asked=asked):
                _note_change(account, before, events)
        for scope in reservation.lane.scopes:
            _open_if_learned(scope)
            if scope.ramp is not None and scope.ramp.counts(reservation.at):
                scope.ramp.uncount(reservation.charge)

    def _culprits(
        self, reservation: Reservation, reading: Reading, now: int, events: list[Event]
    ) -> dict[Account, tuple[int, int, int] | None]:
        """Return the accounts that a refusal comes from, with what it proves; if nothing, close the gate."""
        said = [reading.refused] if reading.refused is not None else list(reading.observations)
        matched = self._match(reservation, said, now, events)
        culprits: dict[Account, tuple[int, int, int] | None] = {}
        for ticket in reservation.tickets:
            told = matched.get(ticket.account)
            if told is not None and (reading.refused is not None or told.remaining < ticket.charged):
                requested = told.requested if told.requested is not None else ticket.charged
                if told.requested is not None:
                    self._note_requested(reservation, ticket, told.dimension, told.requested)
                culprits[ticket.account] = (told.limit, told.remaining, requested)
        if culprits:
            return culprits
        if reading.refused is None:
            blamed, certain = _blame(reservation.tickets, now)
            if not certain:
                self._close(reservation, reading, now, events)
            return dict.fromkeys(blamed)
        if not any(account in matched for account, _ in reservation.lane.draws):  # nor was a new account opened
            self._close(reservation, reading, now, events)
        return {}

    def _note_requested(self, reservation: Reservation, ticket: Ticket, dimension: Dimension, requested: int) -> None:
        """Note what a refusal says that its request would have taken; the account learns from what is left to learn."""
        self.charges.note(reservation.endpoint, dimension, requested, ticket.units)
        if reservation.candidates and dimension is Dimension.TOKENS:
            self.estimates.learn(reservation, requested)
            ticket.units = requested

    def _close(self, reservation: Reservation, reading: Reading, now: int, events: list[Event]) -> None:
        scope = _outer(reservation)
        if scope is None:
            return
        gate = scope.gate
        delay = self._backoff.delay(gate.closings + 1, self._chance, reading.delay)
        if gate.close(reservation.sent, now, now + delay):
            cause = reading.cause.value if reading.cause else ""
            events.append(Paused(gate.scope, cause, delay / SECOND))

    def _overloaded(self, reservation: Reservation, reading: Reading, now: int, events: list[Event]) -> None:
        """Close the gate, and if traffic grew too fast, start a ramp or go down on it."""
        scope = _outer(reservation)
        if scope is None:
            return
        gate, ramp, sent = scope.gate, scope.ramp, reservation.sent
        probing = not gate.is_open
        measurable = not probing and (gate.closed_at < 0 or gate.closed_at < now - _MEMORY)
        self._close(reservation, reading, now, events)
        if reading.cause is not Cause.RAMP:
            return
        if ramp is not None and ramp.counts(reservation.at):
            ramp.uncount(reservation.charge)
        if ramp is not None and probing:
            ramp.hold(sent, now)
            return
        recent, earlier = _flows(scope, reservation.at)
        if ramp is not None:
            ramp.slow_down((recent, earlier) if measurable else None, sent, now)
        elif any(recent):
            if not measurable:  # the gate was closed for a part of either
                recent = earlier = Flow(*map(max, recent, earlier))
            position = scope.tokens_counted.position
            alone = all(lane.mask >> position & 1 for lane in scope.lanes)
            ramp = Ramp(scope.name, position, self._provider.growth, now, alone=alone)
            ramp.slow_down((recent, earlier), sent, now)
            _set_ramp(scope, ramp)

    def _settle(self, reservation: Reservation, usage: Usage, now: int) -> None:
        """Correct what was charged by what was used, where the provider does; elsewhere answers show whether it does.

        Output that is not told, as by a stream left midway, stands. So does all where nobody tells of answers.
        """
        corrected = self._provider.settlement is Settlement.CORRECTED
        if not (corrected or reservation.answered):
            return
        counted = self._provider.counted(usage, reservation.model)
        told = _BILLED if usage.output_tokens or not reservation.charge.output_tokens else {Dimension.INPUT_TOKENS}
        for ticket in reservation.tickets:
            account = ticket.account
            if account.dimension not in told or ticket.refunded:
                continue
            units = counted[account.dimension.position]
            if corrected:
                account.correct(ticket, units, now)
            elif account.known:
                account.used(ticket, units, now)

    # ---- whom an observation is about

    def _match(
        self,
        reservation: Reservation,
        observations: "list[Observation] | tuple[Observation, ...]",
        now: int,
        events: list[Event],
    ) -> dict[Account, Observation]:
        matched: dict[Account, Observation] = {}
        for said in observations:
            scope = _scope_of(reservation.lane.scopes, project=said.project)
            if scope is None:
                continue
            account = scope.account_for(said.dimension, said.window, said.limit)
            if account is None:
                account = self._open(scope, reservation, said, now, events)
                if account is not None:
                    matched[account] = said
                continue
            if not account.known and said.window is not None:
                account.assume(said.window)
            matched[account] = said
        return matched

    def _open(
        self, scope: Scope, reservation: Reservation, said: Observation, now: int, events: list[Event]
    ) -> Account | None:
        """Open an account for a bucket that nobody knew of: a day's beside the minute's, or images."""
        window = said.window or MINUTE
        if window not in {MINUTE, DAY}:
            return None
        sibling = next((t for t in reservation.tickets if t.account.dimension is said.dimension), None)
        charged_after = sibling.account.total - sibling.total if sibling is not None else 0
        account = self._book.open_account(scope, Quota(said.dimension, said.limit, window), now)
        account.begin(said.remaining, reservation.sent, now, charged_after)
        for lane in scope.lanes:
            lane.rebuild()
        _note_change(account, None, events)
        return account


def _outer(reservation: Reservation) -> Scope | None:
    """Return the scope whose gate and ramp a refusal speaks of that names no limit: the organization's, if there is."""
    return next((scope for scope in reservation.lane.scopes if not scope.local), None)


def _flows(scope: Scope, at: int) -> tuple[Flow, Flow]:
    """Return what was sent in the stretch until an instant, and in one of the minute before."""
    tokens = _charged(scope, scope.tokens_counted, at)
    requests = _charged(scope, Dimension.REQUESTS, at)
    return Flow(tokens[0], requests[0]), Flow(tokens[1], requests[1])


def _charged(scope: Scope, dimension: Dimension, at: int) -> tuple[int, int]:
    account = next((account for account in scope.accounts if account.dimension is dimension), None)
    return (0, 0) if account is None else account.traffic(at, STRETCH * SECOND)


def _set_ramp(scope: Scope, ramp: Ramp | None) -> None:
    scope.ramp = ramp
    for lane in scope.lanes:
        lane.rebuild()


def _outgrown(scope: Scope, ramp: Ramp, now: int) -> bool:
    """Whether a ramp has grown to what the scope's limits let through anyway."""
    if ramp.kept or now < ramp.held_until:
        return False
    bounds = []
    for account in scope.accounts:
        quota = account.bucket.quota
        tokens = quota.dimension is scope.tokens_counted
        if account.known and quota.window <= MINUTE and (tokens or quota.dimension is Dimension.REQUESTS):
            bounds.append(ramp.bound(quota.amount, quota.window, tokens=tokens))
    return ramp.rate >= min((bound for bound in bounds if bound is not None), default=ramp.far)


def _scope_of(scopes: tuple[Scope, ...], *, project: bool) -> Scope | None:
    return next((scope for scope in scopes if (scope.project is not None) is project and not scope.local), None)


def _blame(tickets: list[Ticket], now: int) -> tuple[list[Account], bool]:
    """Return the account that a refusal without numbers most likely comes from, and whether that is certain.

    All, where nothing is known. The bucket of a day comes last: what is wrongly blamed on it would be waited for for
    hours. Where all have room for certain, a hidden window has refused: that of the account that was drawn on the
    most, for its size, a moment ago. Otherwise the emptiest of those that may have had no room.
    """
    counted = [ticket for ticket in tickets if ticket.account.dimension is not Dimension.CONCURRENCY]
    known = [ticket for ticket in counted if ticket.account.known]
    if not known:
        return [ticket.account for ticket in counted], False
    known = [ticket for ticket in known if ticket.account.bucket.quota.window <= MINUTE] or known
    known = [ticket for ticket in known if not ticket.account.acquitted] or known
    suspects = [ticket.account for ticket in known if not ticket.account.roomy(ticket.charged, now)]
    if suspects:
        return [min(suspects, key=lambda account: account.bucket.level / account.bucket.capacity)], False
    account = max((ticket.account for ticket in known), key=lambda account: account.owed(now))
    return [account], account.sliceable and (account.hidden is None or account.hidden.repeated < _STUBBORN)


def _explained(reservation: Reservation, now: int) -> None:
    """An answer has shown that a hidden window had refused: the gate has nothing to protect."""
    for scope in reservation.lane.scopes:
        if scope.gate.closings and scope.configured:
            scope.gate.open()
            _ease(reservation, now)


def _ease(reservation: Reservation, now: int) -> None:
    """A gate has opened: what has gathered behind it must not come at once."""
    for account, _ in reservation.draws:
        account.ease(now)


def _open_if_learned(scope: Scope) -> None:
    """Open the gate of a scope of which nothing was known; a limit of the day says nothing of the minute's."""
    if scope.configured:
        return
    if any(account.known and account.bucket.quota.window <= MINUTE for account in scope.accounts):
        scope.gate.learned()


def _undo(reservation: Reservation, now: int) -> None:
    """Take back a request that was never sent."""
    for scope in reservation.lane.scopes:
        scope.flying -= 1
        scope.gate.flying -= 1
        scope.sent -= 1
        if scope.ramp is not None and scope.ramp.counts(reservation.at):
            scope.ramp.give(reservation.charge, now)
    for ticket in reservation.tickets:
        ticket.account.release(ticket, now)
        ticket.account.refund(ticket, now)


def told(reservation: Reservation, cause: Cause | None, now: int) -> Answered:
    """Return what there is to tell of an answer, or of its absence."""
    assert reservation.outcome is not None
    latency = (now - reservation.sent) / SECOND
    return Answered(reservation.lane.name, reservation.outcome.value, cause.value if cause else "", latency)


def _note_change(account: Account, before: int | None, events: list[Event]) -> None:
    quota = account.bucket.quota
    events.append(LimitChanged(account.scope, quota.name, before, quota.amount))
