"""What can be seen of a bucket: what lies in it, what is kept back, and everything that answers taught about it."""

from dataclasses import dataclass

from scheduler.core.hidden import Hidden
from scheduler.core.quota import SECOND
from scheduler.core.reconcile import WHOLE, Account


@dataclass(frozen=True, slots=True)
class HiddenStatistics:
    """A hidden window: a shorter slice of a limit that no header shows, and that refused although there was room.

    Attributes:
        units: Units that it holds, as far as is known.
        seconds: Seconds in which the limit brings as much: the length of the slice.
        spare: Seconds of refill that are kept besides, as requests do not arrive as evenly as they are sent.
        share: Share of the limit's refill that is used.
    """

    units: int
    seconds: float
    spare: float
    share: float

    @classmethod
    def of(cls, hidden: Hidden, account: Account) -> "HiddenStatistics":
        """Look at a hidden window of an account."""
        bucket = account.bucket
        return cls(
            units=hidden.size // bucket.scale,
            seconds=hidden.size / (bucket.quota.amount * SECOND),
            spare=hidden.spare / SECOND,
            share=hidden.permille / WHOLE,
        )


@dataclass(frozen=True, slots=True)
class BucketStatistics:
    """A bucket, and what has been learned about it.

    Attributes:
        quota: Short name, such as ``tpm``.
        dimension: What is counted.
        window: Seconds of its window; 0 for concurrency.
        configured: Units that its owner has named as the limit, or None where nobody has: then it is learned.
        limit: Units that a window brings by what is believed now, or None where that is not known yet.
        confirmed: Whether the owner or the provider has named that limit; otherwise it is a guess.
        level: Units that lie in it, as far as is known; below zero is debt. None where the limit is not known.
        cushion: Units that are kept back for what cannot be seen.
        forecast_error: The largest recent error of our forecasts of the level, in units.
        unseen_spending: Units that answers lowered the level by, ever: what others took, and what requests took beyond
            their charges. What was missing when the first answer came is not among them, nor, each time that the bucket
            has been full, the refill of a quarter of a second. Nothing is seen where no headers tell.
        unseen_returns: Units that answers raised the level by, ever: reservations that the provider gave back, smaller
            charges, and what had been taken off too much before.
        corrected: Whether headers have shown that charges are corrected to what was used, where nobody said so.
        lag: Seconds by which headers are older than their requests; 0.0 where they are not.
        share: Measured share of the refill that is used where no header tells; above 1.0 the limit was guessed too low.
        acquitted: Whether refusals without numbers that were blamed on it turned out not to be its own.
        hidden: The hidden window that was found in it, or None.
        hidden_refusals: Refusals that hidden windows explained, ever.
        pace: Multiple of the refill at which it may be emptied, or None where that is not held back.
        charged: Units charged since the beginning.
        refusals: Refusals that it caused.
        charge_ratio: What recent refusals say that requests take, over what was estimated; 1.0 if none said. By it
            charges are corrected. Requests with candidates count as estimated rightly: see ``engine.estimates``.
    """

    quota: str
    dimension: str
    window: float
    configured: int | None
    limit: int | None
    confirmed: bool
    level: int | None
    cushion: int
    forecast_error: int
    unseen_spending: int
    unseen_returns: int
    corrected: bool
    lag: float
    share: float
    acquitted: bool
    hidden: HiddenStatistics | None
    hidden_refusals: int
    pace: float | None
    charged: int
    refusals: int
    charge_ratio: float

    @classmethod
    def of(cls, account: Account, now: int) -> "BucketStatistics":
        """Look at an account."""
        bucket = account.bucket
        bucket.advance(now)
        return cls(
            quota=bucket.quota.name,
            dimension=account.dimension.value,
            window=bucket.quota.window / SECOND,
            configured=account.configured,
            limit=bucket.quota.amount if account.known else None,
            confirmed=account.confirmed,
            level=bucket.whole if account.known else None,
            cushion=account.cushion // bucket.scale,
            forecast_error=account.forecast_error(now) // bucket.scale,
            unseen_spending=account.unseen.spent // bucket.scale,
            unseen_returns=account.unseen.returned // bucket.scale,
            corrected=account.settlement.corrected,
            lag=account.lag / SECOND,
            share=account.share / WHOLE,
            acquitted=account.acquitted,
            hidden=None if account.hidden is None else HiddenStatistics.of(account.hidden, account),
            hidden_refusals=account.explained,
            pace=None if account.pace is None else account.pace.permille / 1000,
            charged=account.total,
            refusals=account.refusals,
            charge_ratio=account.asked / account.guessed if account.guessed else 1.0,
        )
