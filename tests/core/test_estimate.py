"""Estimates follow what is told of charges, soon and not too far."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from scheduler.core.estimate import Estimator

CHAT = "/v1/chat/completions"
CANDIDATES = st.tuples(*[st.integers(1, 10**7)] * 4)
TOLD = st.lists(st.tuples(CANDIDATES, st.integers(-5, 10**15)), max_size=20)


def sized(seed: int, number: int = 30) -> list[tuple[int, int]]:
    """Return inputs and output caps, in tokens, of ordinary requests."""
    chance = random.Random(seed)
    return [(int(chance.lognormvariate(6, 0.8)) + 20, chance.choice((100, 400, 900, 2_000))) for _ in range(number)]


def larger(sent: int, cap: int) -> int:
    """Return the charge by the default rule."""
    return max(sent, cap)


def rules(sent: int, cap: int) -> tuple[int, int, int]:
    """Return the charges by three rules: the larger of both, their sum, and the input alone."""
    return max(sent, cap), sent + cap, sent


def taught(charge: Callable[[int, int], int], number: int = 30, estimator: Estimator | None = None) -> Estimator:
    """Return an estimator that has been told so many charges of one model."""
    estimator = estimator or Estimator()
    for sent, cap in sized(1, number):
        estimator.learn(CHAT, "m", rules(sent, cap), charge(sent, cap))
    return estimator


def worst(estimator: Estimator, charge: Callable[[int, int], int], model: str = "m") -> float:
    """Return the largest relative error on requests that were not told."""
    errors = [abs(estimator.estimate(CHAT, model, rules(*size)) / charge(*size) - 1) for size in sized(2)]
    return max(errors)


@given(CANDIDATES)
def test_with_nothing_learned_the_first_candidate_is_the_estimate(candidates: tuple[int, ...]) -> None:
    """The default rule holds until something is told, in any group."""
    estimator = Estimator()
    assert estimator.estimate(CHAT, "m", candidates) == candidates[0]
    estimator.learn("/v1/embeddings", "m", candidates, 7)
    assert estimator.estimate(CHAT, "m", candidates) == candidates[0]


@pytest.mark.parametrize(
    ("charge", "number"),
    [
        (larger, 1),
        (lambda sent, cap: sent + cap, 1),
        (lambda sent, cap: sent, 1),
        (lambda sent, cap: sent + 25, 2),
        (lambda sent, cap: max(sent, cap) + 400, 3),
        (lambda sent, cap: -(-max(sent, cap) * 5 // 4), 3),
        (lambda sent, cap: 2 * max(sent, cap), 2),
        (lambda sent, cap: max(sent, cap) // 2, 2),
        (lambda sent, cap: 2 * max(sent, cap) + 400, 8),
        (lambda sent, cap: 2 * (sent + cap) + 50, 8),
    ],
)
def test_charges_of_every_shape_are_learned(charge: Callable[[int, int], int], number: int) -> None:
    """A known rule by one witness, an offset or a factor by two or three, both together by eight."""
    assert worst(taught(charge, number), charge) < 0.02
    assert worst(taught(charge), charge) < 0.02


def test_a_rule_that_changes_overnight_is_left_after_two_answers() -> None:
    """However long the old one has held."""
    estimator = taught(lambda sent, cap: sent + cap)
    assert worst(taught(lambda sent, cap: sent, 2, estimator), lambda sent, cap: sent) == 0


def test_charges_that_scatter_do_not_unsettle_a_rule() -> None:
    """A fifth up or down, and now and then somebody else's spending, leave the estimate near the rule."""
    chance = random.Random(5)

    def charge(sent: int, cap: int) -> int:
        return round(max(sent, cap) * chance.uniform(0.9, 1.1)) + (5_000 if chance.random() < 0.15 else 0)

    estimator = taught(charge, 400)
    assert worst(estimator, larger) < 0.15


@given(CANDIDATES, st.integers(1, 10**15))
def test_the_first_answer_decides_little(candidates: tuple[int, ...], told: int) -> None:
    """It chooses between the rules, and moves what it chose by half at most."""
    estimator = Estimator()
    estimator.learn(CHAT, "m", candidates, told)
    assert min(candidates) // 2 <= estimator.estimate(CHAT, "m", candidates) <= -(-max(candidates) * 3 // 2)


@given(st.integers(1, 10**15))
def test_one_nonsensical_answer_among_many_changes_nothing(told: int) -> None:
    """Whatever it says: estimates stay where eight others have brought them, to a few units."""
    estimator = taught(lambda sent, cap: 2 * (sent + cap))
    estimator.learn(CHAT, "m", (900, 1_000, 100), told)
    assert worst(estimator, lambda sent, cap: 2 * (sent + cap)) < 0.01


@given(TOLD, CANDIDATES)
def test_no_estimate_is_absurd(told: list[tuple[tuple[int, ...], int]], candidates: tuple[int, ...]) -> None:
    """Whatever was told: a whole number, at least 1, in proportion to the candidates."""
    estimator = Estimator()
    for each, charge in told:
        estimator.learn(CHAT, "m", each, charge)
    estimate = estimator.estimate(CHAT, "m", candidates)
    assert type(estimate) is int
    assert max(1, min(candidates) // 8) <= estimate <= 8 * max(candidates) + 4_096


def test_what_is_learned_on_small_charges_is_not_believed_of_large_ones() -> None:
    """A factor of two, from charges of ten, adds no more than it could at 16 times that."""
    estimator = Estimator()
    for _ in range(8):
        for charge in (5, 10):
            estimator.learn(CHAT, "m", (charge,), 2 * charge)
    assert estimator.estimate(CHAT, "m", (10,)) == 20
    assert estimator.estimate(CHAT, "m", (100_000,)) == 100_160


@pytest.mark.parametrize("told", [0, -1, -(10**9)])
def test_what_is_not_positive_tells_nothing(told: int) -> None:
    """An answer that knows of no charge is no charge of nothing."""
    estimator = Estimator()
    estimator.learn(CHAT, "m", (100,), told)
    assert (len(estimator), estimator.version) == (0, 0)


def test_estimates_change_only_with_their_version() -> None:
    """Every told charge makes another version: who remembers it need not ask again."""
    estimator = Estimator()
    assert estimator.version == 0
    estimator.learn(CHAT, "m", (100,), 200)
    estimator.learn(CHAT, "", (100,), 200)
    assert estimator.version == 2


def test_a_model_that_is_charged_otherwise_is_followed_by_itself() -> None:
    """From its third answer on; the others, and models that told nothing yet, go by all of them."""
    estimator = Estimator()
    for sent, cap in sized(3, 60):
        for model in "abcd":
            estimator.learn(CHAT, model, rules(sent, cap), sent + cap)
        estimator.learn(CHAT, "odd", rules(sent, cap), max(sent, cap) + 1_000)
    assert worst(estimator, lambda sent, cap: max(sent, cap) + 1_000, "odd") < 0.02
    for model in ("a", "new", ""):
        assert worst(estimator, lambda sent, cap: sent + cap, model) < 0.02


def test_a_model_that_is_charged_as_all_are_learns_with_them() -> None:
    """Its own answers are old: a rule that others have told since holds for it too."""
    estimator = taught(larger)
    for sent, cap in sized(4, 3):
        estimator.learn(CHAT, "other", rules(sent, cap), sent + cap)
    assert worst(estimator, lambda sent, cap: sent + cap) == 0


def test_other_rules_than_before_begin_anew() -> None:
    """A number of candidates that nothing is known of gives the first, and learns for itself."""
    estimator = taught(lambda sent, cap: 2 * max(sent, cap))
    assert estimator.estimate(CHAT, "m", (100, 50)) == 100
    estimator.learn(CHAT, "m", (100, 50), 50)
    assert estimator.estimate(CHAT, "m", (100, 50)) == 50
    assert estimator.estimate(CHAT, "m", (100, 200, 50)) == 100


def test_memory_is_bounded() -> None:
    """Names come from outside: those that were taught last are remembered, and the endpoint with them."""
    estimator = Estimator()
    for number in range(1_000):
        estimator.learn(CHAT, f"model {number}", (100, 70), 70)
    assert len(estimator) == 64
    assert estimator.estimate(CHAT, "model 0", (1_000, 700)) == 700
