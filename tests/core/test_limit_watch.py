"""Which limits are believed, and when."""

from scheduler.core.limits import LimitWatch, Verdict
from scheduler.core.quota import DAY, MINUTE, SECOND, Dimension, Quota

OURS = Quota(Dimension.TOKENS, 60_000, MINUTE)
HIGHER = 120_000


class Teller:
    """Answers that state a limit as a bucket of *window* with that limit would, while 1,000 are charged a second."""

    def __init__(self, watch: LimitWatch, window: int = MINUTE, pause: int = SECOND) -> None:
        self.watch, self.window, self.pause = watch, window, pause
        self.sent = self.total = 0

    def tell(self, limit: int, remaining: int | None = None, *, newest: bool = True) -> Verdict:
        self.sent += self.pause
        charged = 1_000 * self.pause // SECOND
        self.total += charged
        if remaining is None:
            level = limit // 2 + (limit * self.sent // self.window) - self.total
            remaining = max(0, min(limit, level))
        return self.watch.judge(OURS, limit, remaining, self.sent, self.total, newest=newest)


def test_our_own_limit_is_ours() -> None:
    """An answer that states what we believe is about us."""
    assert Teller(LimitWatch()).tell(60_000) is Verdict.OURS


def test_a_lower_limit_is_adopted_after_three_in_a_row() -> None:
    """Two are not enough, a third of the same is; another value or our own in between starts the count anew."""
    teller = Teller(LimitWatch())
    told = [30_000, 30_000, 60_000, 30_000, 30_000, 20_000, 30_000, 30_000, 30_000]
    verdicts = [teller.tell(limit) for limit in told]
    assert verdicts.count(Verdict.ADOPT) == 1
    assert verdicts[-1] is Verdict.ADOPT


def test_late_answers_do_not_contradict_a_lower_limit() -> None:
    """Our own limit in answers to requests that were sent before it was first seen speaks of the past."""
    watch = LimitWatch()
    told = [(30_000, 10), (60_000, 8), (30_000, 12), (60_000, 9), (30_000, 11)]
    verdicts = [watch.judge(OURS, limit, 5_000, sent * SECOND, 0, newest=False) for limit, sent in told]
    assert verdicts[-1] is Verdict.ADOPT
    assert verdicts.count(Verdict.ADOPT) == 1


def test_limits_of_one_instant_contradict_each_other() -> None:
    """Of all that were granted in one breath nobody can say which was sent first."""
    watch = LimitWatch()
    told = [30_000, *[60_000] * 9] * 3
    verdicts = [watch.judge(OURS, limit, 5_000, SECOND, 0, newest=False) for limit in told]
    assert Verdict.ADOPT not in verdicts


def test_a_lower_limit_is_suspected_until_ours_is_named_again() -> None:
    """Once for each value; and one that was not believed is adopted all the same when it is named in a row."""
    watch = LimitWatch()

    def judge(limit: int, second: int) -> Verdict:
        return watch.judge(OURS, limit, 5_000, second * SECOND, 0, newest=True)

    judge(30_000, 1)
    assert watch.suspects(30_000)
    judge(60_000, 2)
    judge(30_000, 3)
    assert not watch.suspects(30_000)
    judge(20_000, 4)
    assert watch.suspects(20_000)
    assert [judge(30_000, second) for second in (5, 6, 7)][-1] is Verdict.ADOPT


def test_a_higher_limit_is_adopted_when_it_forecasts_like_a_minute() -> None:
    """The value that it began with and eight that match its forecast, or three where ten seconds passed."""
    teller = Teller(LimitWatch())
    assert [teller.tell(HIGHER) for _ in range(9)] == [Verdict.OTHER] * 8 + [Verdict.ADOPT]
    slow = Teller(LimitWatch(), pause=4 * SECOND)
    assert [slow.tell(HIGHER) for _ in range(4)] == [Verdict.OTHER] * 3 + [Verdict.ADOPT]


def test_a_value_that_refills_like_a_day_is_foreign() -> None:
    """What does not refill as a bucket of our window would is never adopted, though it is stated again and again."""
    teller = Teller(LimitWatch(), window=DAY)
    assert all(teller.tell(1_000_000) is Verdict.OTHER for _ in range(19))


def test_a_higher_value_beside_our_own_is_foreign() -> None:
    """Both side by side for more than a second speak of two buckets."""
    teller = Teller(LimitWatch())
    for _ in range(12):
        assert teller.tell(HIGHER) is Verdict.OTHER
        teller.sent += SECOND
        assert teller.tell(60_000) is Verdict.OURS


def test_a_foreign_value_is_heard_again_where_ours_is_gone() -> None:
    """Twenty in a row that never named ours: it may be the new limit, and is judged anew."""
    teller = Teller(LimitWatch())
    teller.tell(HIGHER)
    teller.sent += SECOND
    teller.tell(60_000)
    verdicts = [teller.tell(HIGHER) for _ in range(29)]
    assert verdicts.index(Verdict.ADOPT) == 28


def test_an_answer_to_an_older_request_is_no_candidate() -> None:
    """A higher value is judged by the newest answers only, since the forecast follows the order of sending."""
    teller = Teller(LimitWatch())
    assert all(teller.tell(HIGHER, newest=False) is Verdict.OTHER for _ in range(12))


def test_another_candidate_takes_the_place_of_the_first() -> None:
    """Values that change all the time are never adopted."""
    teller = Teller(LimitWatch())
    assert all(teller.tell(HIGHER + number % 2) is Verdict.OTHER for number in range(30))


def test_a_refusals_body_is_believed_at_once() -> None:
    """It is the limiter itself that speaks, whether it names a lower limit, a higher one, or ours."""
    watch = LimitWatch()
    assert watch.judge_body(OURS, 60_000) is Verdict.OURS
    assert watch.judge_body(OURS, 30_000) is Verdict.ADOPT
    assert watch.judge_body(OURS, 90_000) is Verdict.ADOPT


def test_a_refusals_body_ends_a_series() -> None:
    """After our own limit was named by a refusal, lower values are counted from one again."""
    teller = Teller(LimitWatch())
    teller.tell(30_000)
    teller.tell(30_000)
    teller.watch.judge_body(OURS, 60_000)
    assert teller.tell(30_000) is Verdict.OTHER


def test_a_disproved_limit_is_never_adopted_again() -> None:
    """A raise that a refusal took back is not believed a second time, however well it forecasts."""
    watch = LimitWatch()
    watch.adopted(OURS, HIGHER)
    raised = Quota(Dimension.TOKENS, HIGHER, MINUTE)
    assert watch.judge_body(raised, 60_000) is Verdict.ADOPT
    teller = Teller(watch)
    assert all(teller.tell(HIGHER) is Verdict.OTHER for _ in range(60))


def test_a_server_that_invents_limits_does_not_fill_the_memory() -> None:
    """Foreign and disproved values are remembered up to a bound."""
    watch = LimitWatch()
    teller = Teller(watch, window=DAY)
    for number in range(1_000):
        raised = Quota(Dimension.TOKENS, HIGHER + number, MINUTE)
        teller.tell(raised.amount)
        teller.tell(raised.amount, 0)
        watch.adopted(OURS, raised.amount)
        watch.judge_body(raised, 60_000)
    assert len(watch._foreign) <= 20
    assert len(watch._disproved) <= 20
