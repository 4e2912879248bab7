"""Rules apart from a database: statements without them, words, and what asks a person."""

from dataclasses import replace
from typing import Any

import pytest

from daemon.config import ProductSyncSettings, RuleSettings
from daemon.sync.products.queries import PlanQueries
from daemon.sync.products.rows import Key, StockRow
from daemon.sync.products.rule_words import describe_rule
from daemon.sync.products.rules import DEFAULT_SHOP
from daemon.sync.products.safety_limits import PlanOverturned, PlanSurvey, SafetyLimits

STATEMENTS = (
    *("stock_window", "stock_of_variants", "stock_again", "price_window", "prices_of_variants", "prices_again"),
    *("slipping", "held_prices", "left_alone"),
)
PLAIN = ProductSyncSettings.model_validate({"locations": {"31": [1]}, "price": "retail", "compare_at_price": "old"})
RULE = {"name": "one", "when": {"tag": "a"}, "reserve": 2, "ask": True}
ROW = StockRow(Key(1, 2, 31), 1, 3, "SKU", 4, 5, 4, "because", "one", is_asked=True)


def ruled(*rules: dict[str, Any]) -> ProductSyncSettings:
    """The settings with rules."""
    return PLAIN.model_copy(update={"rules": tuple(RuleSettings.model_validate(rule) for rule in rules)})


@pytest.mark.parametrize("name", STATEMENTS)
def test_nothing_of_rules_is_in_a_plan_without_them(name: str) -> None:
    """Neither a parameter nor a join: who has no rules pays nothing for them."""
    queries = PlanQueries(PLAIN, DEFAULT_SHOP)
    assert queries.parameters == ()
    assert "rule" not in getattr(queries, name)
    assert "alike" not in getattr(queries, name)


def test_stock_is_desired_as_before_where_nothing_is_held_back() -> None:
    """Not even a subtraction of nothing."""
    assert "least(greatest(floor(total), 0), 1000000000)::bigint AS desired" in (
        PlanQueries(PLAIN, DEFAULT_SHOP).stock_window
    )


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_rules_are_the_last_parameter(name: str) -> None:
    """Behind all others, whatever their number is."""
    statement, plain = (getattr(PlanQueries(made, DEFAULT_SHOP), name) for made in (ruled(RULE), PLAIN))
    last = max(number for number in range(1, 20) if f"${number}" in plain)
    assert f"${last + 1}::jsonb" in statement
    assert f"${last + 2}" not in statement


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (RULE, "where a tag is “a”: a person is asked before any change, 2 pieces are held back"),
        (
            {"name": "x", "when": {"vendor": ["A", "B"], "stock": {"to": 3}}, "maximum": 0},
            "where the vendor is “A” or “B” and the stock is 3 or less: a location gets at most 0",
        ),
        (
            {"name": "x", "when": {"category": 301, "price": {"from": 10, "to": 20}}, "hold_price": True},
            "where the category at Nhanh.vn is 301 and the price is from 10 to 20: its prices are left alone",
        ),
        (
            {"name": "x", "when": {"brand": [1, 2], "type": "Gift"}, "skip": False},
            "where the type is “Gift” and the brand at Nhanh.vn is 1 or 2: “skip” of later rules does not apply",
        ),
    ],
)
def test_a_rule_in_words(rule: dict[str, Any], words: str) -> None:
    """As `dongbo check` lists it."""
    assert describe_rule(RuleSettings.model_validate(rule)) == words


def test_what_a_rule_asks_about_needs_approval_whatever_the_limits() -> None:
    """Though it is no item that is set to zero."""
    limits = SafetyLimits(PLAIN, ())
    survey = PlanSurvey(limits)
    survey.add_stock(ROW)
    assert survey.needs_approval
    assert (survey.zeroed, survey.asked_by_rule, survey.left_out) == (set(), 1, 1)
    with pytest.raises(PlanOverturned):
        limits.admit_stock([ROW])
    assert limits.is_never_unasked(ROW)
    assert not limits.is_never_unasked(replace(ROW, is_asked=False))


def test_what_was_approved_is_not_asked_about_again() -> None:
    """An approval of the change covers the rule's question."""
    change = SafetyLimits(PLAIN, ()).risk_of_stock(ROW)
    assert change is not None
    limits = SafetyLimits(PLAIN, {change})
    survey = PlanSurvey(limits)
    survey.add_stock(ROW)
    assert not survey.needs_approval
    limits.admit_stock([ROW])
