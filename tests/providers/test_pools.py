"""Names of pools."""

import pytest
from hypothesis import given, strategies as st

from scheduler.providers.pools import TIERS, pool_of, priced, shared


@pytest.mark.parametrize(
    ("pool", "other"),
    [
        ("gpt-5", "gpt-5"),
        ("gpt-5@priority", "gpt-5"),
        ("gpt-5@priority@long-context", "gpt-5@long-context"),
        ("gpt-5@priority@org-1", "gpt-5@org-1"),
        ("gpt-5@flex", "gpt-5@flex"),
        ("gpt-5@scale", "gpt-5@scale"),
        ("gpt-5@ultrafast", "gpt-5@ultrafast"),
        ("gpt-5@prioritys", "gpt-5@prioritys"),
        ("@priority", "@priority"),
        ("@cf/meta/llama-3@priority", "@cf/meta/llama-3"),
        ("", ""),
    ],
)
def test_what_shares_limits(pool: str, other: str) -> None:
    """Priority shares its model's limits; flex, scale and ultrafast have their own."""
    assert shared(pool) == other


@pytest.mark.parametrize(
    ("pool", "names"),
    [
        ("gpt-5", [("gpt-5", 1.0)]),
        ("gpt-5@flex", [("gpt-5@flex", 1.0), ("gpt-5", 0.5)]),
        ("gpt-5@ultrafast@o", [("gpt-5@ultrafast@o", 1.0), ("gpt-5@ultrafast", 1.0), ("gpt-5", 6.0)]),
        ("@cf/llama", [("@cf/llama", 1.0)]),
        ("", [("", 1.0)]),
    ],
)
def test_what_it_is_priced_as(pool: str, names: list[tuple[str, float]]) -> None:
    """A pool is priced by its longest name that has a price, times what the parts left out cost more."""
    assert list(priced(pool)) == names


@given(st.text(), st.none() | st.sampled_from(sorted(TIERS)) | st.text(), st.booleans(), st.text())
def test_any_name(name: str, tier: str | None, long: bool, organization: str) -> None:  # noqa: FBT001 -- drawn
    """A name begins with its model's, is priced as that at the last, and sharing is final."""
    pool = pool_of(name, tier=tier, long=long, organization=organization)
    assert pool.startswith(name)
    assert shared(shared(pool)) in {shared(pool), shared(shared(shared(pool)))}
    assert not name or "@" in name or name in {each for each, _ in priced(pool)}
