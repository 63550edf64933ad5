"""The ticket: what one request was charged in one account, and what was believed just after."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scheduler.core.reconcile import Account

NOTES = 4
"""Numbers that a ticket is made of: charged, total, expected, raised."""


class Ticket:
    """What one request was charged in one account, and what was believed just after."""

    __slots__ = ("account", "at", "charged", "exact", "expected", "raised", "refunded", "taken", "total", "units")

    def __init__(
        self, account: "Account", at: int, units: int, charged: int, total: int, expected: int, raised: int
    ) -> None:
        self.account = account
        self.at = at  # when it was charged
        self.units = units  # as estimated
        self.charged = charged  # as charged, after what refusals taught about charges
        self.total = total  # of the account, with this request
        self.expected = expected  # scaled level just after it
        self.raised = raised  # by how much the level had ever been raised
        self.refunded = False
        self.taken: int | None = None  # what answers say that the provider took, as far as they do ...
        self.exact = False  # ... and whether that is so, whatever came back meanwhile
