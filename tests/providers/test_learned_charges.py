"""Estimates that learn, held against recorded calls in the order of their dates."""

import runpy
from pathlib import Path
from typing import Any

import pytest
from provider_data import DATA, data_file

from scheduler.providers.openai_charge import CHARGE_RULES, ChargeFacts, Endpoint, candidates_of, documented

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "charges.py"


@pytest.fixture(scope="module")
def groups() -> dict[str, Any]:
    data_file("observed-charges.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARK.parent)  # where its neighbours are found
        benchmark = runpy.run_path(str(BENCHMARK))
    found: dict[str, Any] = benchmark["table"](benchmark["rows"](DATA))
    return found


def test_chats_are_estimated_well_across_all_years(groups: dict[str, Any]) -> None:
    """Within 7 % in the median, and nine of ten within 3 tokens or 20 %, though the rule changed in between."""
    chats = groups["openai chat/completions"]
    assert chats["calls"] == 138
    assert chats["learned"]["median"] <= 0.07
    assert chats["learned"]["p90"] <= 1.0
    assert chats["fixed"]["p90"] > 3


@pytest.mark.parametrize("name", ["embeddings", "completions", "responses"])
def test_learning_harms_nobody(groups: dict[str, Any], name: str) -> None:
    """Where few calls are recorded, or by no rule that anybody found, what is learned is no worse than the default."""
    group = groups[f"openai {name}"]
    assert group["learned"]["median"] <= group["fixed"]["median"]
    assert group["learned"]["within"] >= group["fixed"]["within"]


@pytest.mark.parametrize("name", sorted(CHARGE_RULES))
def test_the_default_rule_is_the_first_candidate(name: str) -> None:
    """Each known rule is a candidate once, whichever is the default; one of the user's own stands before them all."""
    facts = ChargeFacts(Endpoint.CHAT, 400, output_cap=50)
    rule = CHARGE_RULES[name]
    others = [CHARGE_RULES[other](facts) for other in CHARGE_RULES if other != name]
    assert candidates_of(facts, rule) == (rule(facts), *others)
    assert candidates_of(facts, lambda facts: 7 * documented(facts)) == (
        700,
        *(r(facts) for r in CHARGE_RULES.values()),
    )
