"""Quotas, dimensions and charges."""

import pytest

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND, Charge, Dimension, Quota, Refill


def test_a_charge_has_one_field_a_dimension() -> None:
    """The position of a dimension is that of its field in a charge."""
    assert Charge._fields == tuple(dimension.value for dimension in Dimension)
    for dimension in Dimension:
        assert Charge(**{dimension.value: 7})[dimension.position] == 7


def test_a_burst_is_the_amount_unless_given() -> None:
    """What can lie in a bucket is what one window brings, or what its owner says."""
    assert Quota(Dimension.TOKENS, 100, MINUTE).burst == 100
    assert Quota(Dimension.TOKENS, 100, MINUTE, burst=300).burst == 300


@pytest.mark.parametrize(
    ("amount", "window", "burst", "refill"),
    [
        (0, MINUTE, 0, Refill.CONTINUOUS),
        (-1, MINUTE, 0, Refill.FIXED),
        (1, MINUTE, -1, Refill.CONTINUOUS),
        (1, 0, 0, Refill.CONTINUOUS),
        (1, -1, 0, Refill.SLIDING),
        (1, MINUTE, 0, Refill.RELEASE),
        (1, -1, 0, Refill.RELEASE),
        (5, MINUTE, 6, Refill.SLIDING),
        (5, 0, 6, Refill.RELEASE),
    ],
)
def test_a_quota_that_exists_is_a_usable_one(amount: int, window: int, burst: int, refill: Refill) -> None:
    """Numbers out of range, and bursts or windows that a refill cannot have, are refused."""
    with pytest.raises(ValueError, match="quota"):
        Quota(Dimension.TOKENS, amount, window, burst, refill)


@pytest.mark.parametrize(
    ("quota", "name"),
    [
        (Quota(Dimension.TOKENS, 1, MINUTE), "tpm"),
        (Quota(Dimension.REQUESTS, 1, DAY), "rpd"),
        (Quota(Dimension.IMAGES, 1, HOUR), "iph"),
        (Quota(Dimension.INPUT_TOKENS, 1, SECOND), "itps"),
        (Quota(Dimension.OUTPUT_TOKENS, 1, MINUTE), "otpm"),
        (Quota(Dimension.TOKENS, 1, 90 * SECOND), "tokens/90s"),
        (Quota(Dimension.CONCURRENCY, 1, 0, refill=Refill.RELEASE), "concurrency"),
    ],
)
def test_a_quota_is_named_as_people_write_it(quota: Quota, name: str) -> None:
    """Common windows have a letter; others are told in seconds."""
    assert quota.name == name
