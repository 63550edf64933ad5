"""Strategies: quotas of every kind and size, and what may be done to a bucket."""

from hypothesis import strategies as st

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Dimension, Quota, Refill

WINDOWS = st.sampled_from([SECOND, 10 * SECOND, MINUTE, HOUR, DAY]) | st.integers(1, 10**6)
AMOUNTS = st.integers(1, 3) | st.integers(1, 5_000) | st.integers(10**5, 10**15)
TIMED = [Refill.CONTINUOUS, Refill.FIXED, Refill.SLIDING]


@st.composite
def quotas(
    draw: st.DrawFn,
    refills: list[Refill] | None = None,
    windows: st.SearchStrategy[int] = WINDOWS,
    dimension: Dimension = Dimension.TOKENS,
) -> Quota:
    refill = draw(st.sampled_from(refills or list(Refill)))
    amount = draw(AMOUNTS)
    if refill is Refill.RELEASE:
        return Quota(dimension, amount, 0, refill=refill)
    window = draw(windows)
    burst = 0
    if refill in {Refill.CONTINUOUS, Refill.FIXED}:
        burst = draw(st.just(0) | st.integers(1, 3 * amount))
    if refill is not Refill.FIXED:
        return Quota(dimension, amount, window, burst, refill)
    anchor = draw(st.integers(-2 * window, 2 * window))
    slack = draw(st.just(0) | st.integers(0, window // 4))
    return Quota(dimension, amount, window, burst, refill, anchor, "", slack)


def spans(window: int) -> st.SearchStrategy[int]:
    """Nanoseconds that matter to a window."""
    window = window or SECOND
    return st.sampled_from([0, 1, window - 1, window, window + 1]) | st.integers(0, 2 * window)


def parts(most: int) -> st.SearchStrategy[int]:
    """Units from nothing to *most*, the ends often."""
    return st.sampled_from([0, 1, most]) | st.integers(0, most)
