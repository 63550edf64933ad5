"""How long the limits need for what is left to do, against sums by hand and by brute force."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from scheduler.bulk.progress import Progress
from scheduler.bulk.summary import Summary, summarize, utilisation
from scheduler.bulk.work import Work
from scheduler.clock import SystemClock
from scheduler.core.quota import SECOND, Charge
from scheduler.facade import Scheduler

MODELS = ("gpt-5-mini", "gpt-4o", "other")
WINDOWS = {"m": 60, "d": 86_400}


class StoppedClock:
    """Forty seconds past the minute."""

    def now(self) -> int:
        """Return the instant in nanoseconds."""
        return 40 * SECOND

    wall = now


def work_of(*charges: tuple[str, int]) -> Work:
    work = Work()
    for model, tokens in charges:
        work.add(model, None, Charge(tokens=tokens))
    return work


def needed(work: Work, limits: dict[str, dict[str, int]], **options: float) -> float | None:
    return work.seconds_needed(Scheduler(limits=limits).admission, full=True, latency=options.get("latency"))


def test_by_hand() -> None:
    """100 requests of 512 tokens at 30,000 a minute: 51,200 less a full bucket of 30,000, at 500 a second."""
    work = work_of(*[("gpt-4o", 512)] * 100)
    assert needed(work, {"*": {"tpm": 30_000, "rpm": 500}}) == pytest.approx(42.4)


def test_the_slowest_limit_counts() -> None:
    """Of several limits of several models the one that needs longest tells."""
    work = work_of(*[("gpt-4o", 100)] * 20, *[("gpt-5-mini", 100)] * 70)
    assert needed(work, {"gpt-4o": {"rpm": 10}, "gpt-5-mini": {"tpm": 6_000}}) == pytest.approx(60.0)


def test_what_fits_into_the_buckets_needs_no_time() -> None:
    """Nothing waits for limits that are not reached."""
    assert needed(work_of(("gpt-4o", 10)), {"*": {"rpm": 10}}) == 0
    assert needed(work_of(), {"*": {"rpm": 10}}) is None


def test_nothing_is_known_where_no_limit_is() -> None:
    """Without a limit there is no bound; a limit of concurrency alone, or one of another model, is none either."""
    work = work_of(("gpt-4o", 10))
    assert needed(work, {}) is None
    assert needed(work, {"gpt-5-mini": {"rpm": 1}}) is None
    assert needed(work, {"*": {"concurrency": 1}}, latency=1.0) is None


def test_concurrency_lets_through_as_many_in_the_time_of_an_answer() -> None:
    """100 requests, 10 at a time, 2 s each: the last go after 18 s."""
    work = work_of(*[("gpt-4o", 10)] * 100)
    scheduler = Scheduler(limits={"*": {"rpm": 1_000}}, concurrency=10)
    assert work.seconds_needed(scheduler.admission, full=True, latency=2.0) == pytest.approx(18.0)
    assert work.seconds_needed(scheduler.admission, full=True) == 0


@pytest.mark.parametrize(("requests", "fixed", "sliding"), [(10, 0, 0), (11, 0, 60), (20, 0, 60), (25, 60, 120)])
def test_windows_that_open_at_once_are_counted_whole(requests: int, fixed: float, sliding: float) -> None:
    """Ten a minute: eleven need a second window, which opens at once at best where instants are fixed."""
    work = work_of(*[("gpt-4o", 10)] * requests)
    on_the_minute = {"rpm": {"amount": 10, "resets": "on the minute"}}
    assert needed(work, {"*": on_the_minute}) == fixed  # type: ignore[dict-item]  # limits may be tables
    assert needed(work, {"*": {"rpm": {"amount": 10, "refill": "sliding"}}}) == sliding  # type: ignore[dict-item]  # same


def test_a_window_that_is_open_is_counted_from_now() -> None:
    """What lies in it goes at once, and the rest when the next ones open."""
    scheduler = Scheduler(limits={"*": {"rpm": {"amount": 10, "resets": "on the minute"}}}, clock=StoppedClock())
    work = work_of(*[("gpt-4o", 10)] * 25)
    seconds = work.seconds_needed(scheduler.admission, full=False)
    assert seconds is not None
    assert 80 <= seconds < 95


def test_what_lies_in_the_buckets_now_counts() -> None:
    """What was charged already is missing from the level that the rest begins with."""
    scheduler = Scheduler(limits={"*": {"tpm": 6_000}})
    scheduler.reserve_nowait("gpt-4o", tokens=600).settle()
    work = work_of(*[("gpt-4o", 600)] * 10)
    assert work.seconds_needed(scheduler.admission, full=True) == 0
    assert work.seconds_needed(scheduler.admission, full=False) == pytest.approx(6.0, abs=0.2)


names = st.sampled_from([f"{dimension}p{window}" for dimension in "rt" for window in WINDOWS])
limits_of_models = st.dictionaries(
    st.sampled_from([*MODELS, "*"]), st.dictionaries(names, st.integers(1, 5_000), min_size=1)
)
charges = st.lists(st.tuples(st.sampled_from(MODELS), st.integers(0, 2_000)), max_size=30)


@settings(max_examples=150, deadline=None)
@given(limits_of_models, charges, charges)
def test_as_brute_force_has_it(
    limits: dict[str, dict[str, int]], wanted: list[tuple[str, int]], gone: list[tuple[str, int]]
) -> None:
    """The sums per model give what adding up every request at every limit gives; what is taken out leaves no trace."""
    work = work_of(*wanted, *gone)
    for model, tokens in gone:
        work.remove(model, None, Charge(tokens=tokens))
    drawn: Counter[tuple[str, str]] = Counter()
    for model, tokens in wanted:
        key = model if model in limits else "*"
        for name in limits.get(key, {}):
            drawn[key, name] += {"r": 1, "t": tokens}[name[0]]
    brute = [
        (units - limits[key][name]) / limits[key][name] * WINDOWS[name[-1]] for (key, name), units in drawn.items()
    ]
    assert (needed(work, limits) or 0.0) == pytest.approx(max([0.0, *brute]), abs=1e-6)


# ---- progress and summary


def test_time_left_is_that_of_the_limits_and_of_an_answer() -> None:
    """Where limits are known, what waits for them and one answer more; in flight is not counted twice."""
    admission = Scheduler(limits={"*": {"rpm": 60}}).admission
    progress = Progress(total=130)
    for _ in range(120):
        progress.work.add("gpt-4o", None, Charge())
    for _ in range(5):
        progress.success(2 * SECOND)
    assert progress.seconds_left(admission, 10.0) == pytest.approx(62.0, abs=0.2)
    assert progress.shortest == 2 * SECOND


def test_time_left_without_limits_is_that_of_the_pace() -> None:
    """Where no limit is known, the pace so far tells, once there is one; at the end nothing is left."""
    admission = Scheduler().admission
    progress = Progress(total=100)
    progress.work.add("gpt-4o", None, Charge())
    assert progress.seconds_left(admission, 1.0) is None
    for _ in range(25):
        progress.success(SECOND)
    assert progress.seconds_left(admission, 10.0) == pytest.approx(30.0)
    progress.failed = 75
    assert progress.seconds_left(admission, 10.0) == 0


def test_utilisation_by_hand() -> None:
    """In 30 s a minute's limit brings its bucket and half as much; of two limits on tokens the fuller counts."""
    scheduler = Scheduler(limits={"gpt-4o": {"rpm": 60, "tpm": 1_000, "tpd": 100_000}})
    scheduler.reserve_nowait("gpt-4o", tokens=1).settle()
    seen = scheduler.statistics()
    charged = {"rpm": 9, "tpm": 450, "tpd": 450}
    scopes = [
        replace(scope, buckets=tuple(replace(each, charged=charged[each.quota]) for each in scope.buckets))
        for scope in seen.scopes
    ]
    assert utilisation(replace(seen, scopes=tuple(scopes)), 30.0) == {"requests": 9 / 90, "tokens": 450 / 1_500}


def test_a_summary_adds_up() -> None:
    """Bad lines and lines never sent are failures; the ideal has the shortest answer in it."""
    scheduler = Scheduler(limits={"*": {"rpm": 60}})
    progress = Progress(total=180, bad=3, skipped=7, stopped="interrupted")
    progress.success(3 * SECOND)
    progress.success(SECOND)
    whole = Work()
    for _ in range(180):
        whole.add("gpt-4o", None, Charge())
    summary = summarize(progress, whole, scheduler.admission, scheduler.statistics(), 12.3456)
    assert (summary.requests, summary.succeeded, summary.failed, summary.skipped) == (183, 2, 181, 7)
    assert summary.ideal_s == pytest.approx(121.0)
    assert summary.makespan_s == 12.346
    words = str(summary)
    for part in ("stopped: interrupted", "2 of 183 succeeded", "7 were there already", "12.3 s (ideal 2m01s)"):
        assert part in words


def test_a_summary_without_limits_says_so() -> None:
    """An ideal that is not known is null, and people read that no limit is known."""
    scheduler = Scheduler()
    summary = summarize(Progress(), Work(), scheduler.admission, scheduler.statistics(), 0.0)
    assert summary.ideal_s is None
    assert "no limit known" in str(summary)


def test_a_servers_words_in_a_summary_are_shown_not_obeyed() -> None:
    """Terminal escapes in a reason to stop are written out."""
    summary = Summary(1, 0, 1, 1, 1, 0, 1.0, None, 0, 0.0, {}, stopped="no \x1b[31mcredit")
    assert "\x1b" not in str(summary)
    assert "no \\x1b[31mcredit" in str(replace(summary, skipped=1))


def test_the_clock_is_that_of_the_machine() -> None:
    """Levels move on by themselves, so that a bucket that was emptied long ago needs no more time."""
    scheduler = Scheduler(limits={"*": {"rps": 1_000}})
    scheduler.reserve_nowait("gpt-4o", requests=900).settle()
    until = SystemClock.now() + SECOND // 10
    while SystemClock.now() < until:
        scheduler.statistics()
    assert (work_of(("gpt-4o", 0)).seconds_needed(scheduler.admission, full=False) or 0) == 0
