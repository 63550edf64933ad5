"""Accounts in every state that can be reached through their public methods."""

from drawn import parts, quotas, spans
from hypothesis import strategies as st

from scheduler.core.quota import Quota, Refill
from scheduler.core.reconcile import Account, Ticket


class Used:
    """An account and the tickets that are in flight there."""

    def __init__(self, account: Account, now: int) -> None:
        self.account = account
        self.now = now
        self.flying: list[Ticket] = []

    def act(self, data: st.DataObject) -> None:
        """Do one of the things that happen to an account."""
        account = self.account
        quota = account.bucket.quota
        self.now += data.draw(spans(quota.window) | st.integers(0, 10**9), "pause")
        now = self.now
        account.bucket.advance(now)
        what = data.draw(
            st.sampled_from(["charge", "charge", "answer", "blind", "refuse", "cancel", "correct", "ease"]), "act"
        )
        if what == "charge" or not self.flying:
            self.flying.append(account.charge(data.draw(parts(quota.burst), "units"), now))
            return
        if what == "ease":
            account.ease(now)
            return
        ticket = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1), "which"))
        limit = data.draw(st.just(quota.amount) | st.integers(1, 2 * quota.amount), "limit")
        remaining = data.draw(parts(limit), "remaining")
        if what == "answer":
            account.answered(ticket, ticket.at, now, limit, remaining)
        elif what == "blind":
            account.answered(ticket, ticket.at, now, None, 0)
        elif what == "cancel":
            account.refund(ticket, now)
        elif what == "correct":
            account.correct(ticket, data.draw(parts(2 * quota.burst), "used"), now)
        else:
            requested = data.draw(parts(2 * quota.burst), "requested")
            body = data.draw(st.sampled_from([None, (limit, remaining, requested)]), "body")
            wait = data.draw(st.none() | st.integers(0, 10**10), "wait")
            account.refused(ticket, ticket.at, now, body, charged=data.draw(st.booleans(), "charged"), wait=wait)
        account.release(ticket, now)


@st.composite
def used_accounts(draw: st.DrawFn, most: int = 8, quota: Quota | None = None) -> Used:
    data = draw(st.data())
    quota = quota or draw(quotas())
    known = quota.refill is Refill.RELEASE or draw(st.sampled_from([True, True, False]))
    account = Account(quota, 0, known=known)
    used = Used(account, 0)
    for _ in range(draw(st.integers(0, most))):
        used.act(data)
    return used
