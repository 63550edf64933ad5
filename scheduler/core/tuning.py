"""Constants of the controller, with what speaks for each value."""

from dataclasses import dataclass

from scheduler.core.quota import SECOND

WHOLE = 1000
"""Shares are counted in thousandths."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Constants of the controller, in nanoseconds and thousandths."""

    tolerance: int = SECOND // 4  # above the usual spread of the network; costs 0.25 s of optimism, held by the cushion
    rise: int = 400  # 700 doubled the refusals under stale headers
    safety: int = 2  # cushion over the largest recent forecast error
    least: int = SECOND  # of refill: what is lost in transit to a full bucket, or taken by others; but no more ...
    trust: int = 4  # ... than so many times the largest recent forecast error, or the tolerance
    most: int = 150  # of the capacity
    half_life: int = 83 * SECOND  # of the forecast error: e-fold in two minutes
    ceiling: int = 980  # of the capacity: nothing waits for more
    hold: int = 4 * SECOND  # no rise so soon after a refusal; doubles while refusals repeat
    hold_most: int = 30 * SECOND
    event_error: int = 5  # of the capacity: what each event of refusals adds to the forecast error
    blind: int = 10  # answers in a row without a usable header
    watch: int = 15 * SECOND  # how long the level is watched with a larger cushion after the first answer ...
    watched: int = 60  # ... of this share of the capacity: free, as a bucket loses nothing until it is full
    lag: int = 10 * SECOND  # headers that are older than this are not told from others


DEFAULT = Tuning()
