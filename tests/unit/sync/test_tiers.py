"""What a customer's total, tier and tags should be: the rules that hold whatever was spent."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import CustomerSyncSettings
from daemon.config.settings import TierSettings
from daemon.sources.shopify.models import Metafield
from daemon.sync.customers.rules import CustomerRules, Metafields, spent_total, tier_of

TOTAL, TIER = "custom.total_spent", "custom.tier"
TIERS = CustomerSyncSettings().tiers
NAMES = [tier.name for tier in TIERS]
amounts = st.decimals(-(10**12), 10**12, places=4)
totals = st.integers(0, 10**12)
tag_lists = st.lists(
    st.sampled_from([*NAMES, "gold", "Silver", "VIP", "member since 2019", "đại lý"]), unique_by=str.casefold
)


def tiers(*thresholds: int) -> tuple[TierSettings, ...]:
    """Tiers T0, T1, … from these thresholds on."""
    return tuple(TierSettings.model_validate({"name": f"T{n}", "from": from_}) for n, from_ in enumerate(thresholds))


def rules(**settings: Any) -> CustomerRules:
    """The rules under these settings."""
    return CustomerRules(CustomerSyncSettings.model_validate(settings))


def metafield(value: str) -> Metafield:
    """A metafield of this value."""
    return Metafield(value=value, digest=f"digest of {value}", type="number_integer")


# ── Total and tier ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("amount", "total"), [("0", 0), ("0.4999", 0), ("0.5", 1), ("1.5", 2), ("2.5", 3), ("-0.5", 0), ("-7000", 0)]
)
def test_total_is_rounded_half_up_and_never_negative(amount: str, total: int) -> None:
    """Halves go up, and who has returned more than bought has spent nothing."""
    assert spent_total(Decimal(amount)) == total


@given(amount=amounts)
def test_total_is_near_the_amount(amount: Decimal) -> None:
    """A total is never further than a half from what was spent."""
    assert abs(spent_total(amount) - max(amount, Decimal(0))) <= Decimal("0.5")


@pytest.mark.parametrize(
    ("total", "tier"),
    [
        (0, "MEMBER"),
        (2_999_999, "MEMBER"),
        (3_000_000, "SILVER"),
        (6_000_000, "GOLD"),
        (9_999_999, "GOLD"),
        (10_000_000, "PLATINUM"),
        (20_000_000, "DIAMOND"),
        (99_999_999, "DIAMOND"),
        (100_000_000, "BLACK_DIAMOND"),
    ],
)
def test_tiers_of_the_old_system(total: int, tier: str) -> None:
    """The default tiers are those of the system that this one replaces."""
    assert tier_of(total, TIERS) == tier


@given(total=totals, thresholds=st.sets(totals, max_size=8))
def test_tier_is_the_highest_that_is_reached(total: int, thresholds: set[int]) -> None:
    """A tier is reached at its threshold; of those reached the highest counts, and below the lowest there is none."""
    known = tiers(*sorted(thresholds))
    reached = [tier for tier in known if tier.threshold <= total]
    assert tier_of(total, known) == (reached[-1].name if reached else None)


@given(one=totals, other=totals, thresholds=st.sets(totals, max_size=8))
def test_who_spends_more_is_never_in_a_lower_tier(one: int, other: int, thresholds: set[int]) -> None:
    """Tiers are monotone."""
    known = tiers(*sorted(thresholds))
    order = [None, *(tier.name for tier in known)]
    lower, higher = sorted((one, other))
    assert order.index(tier_of(lower, known)) <= order.index(tier_of(higher, known))


# ── What is pushed ──────────────────────────────────────────────────────────────────────────────────────────────────


@given(amount=amounts, tags=tag_lists, value=st.none() | st.integers(-(10**12), 10**12).map(str), tier=st.booleans())
def test_what_was_pushed_is_not_pushed_again(amount: Decimal, tags: list[str], value: str | None, tier: bool) -> None:
    """After a push there is nothing left to push, other tags are untouched, and there is just one tier tag."""
    known = rules(tier=TIER if tier else None)
    standing = known.standing(amount)
    metafields: Metafields = {TOTAL: None if value is None else metafield(value), TIER: None}
    found = known.differences(standing, metafields, tags)
    after = {**metafields, **{each.name: metafield(each.desired) for each in found.metafields}}
    tags_after = tags
    if found.tags is not None:
        tags_after = [tag for tag in tags if tag not in found.tags.removed] + list(found.tags.added)
    assert not known.differences(standing, after, tags_after)
    assert standing.tier is not None
    assert [tag.casefold() for tag in known.tier_tags(tags_after)] == [standing.tier.casefold()]
    others = {"VIP", "member since 2019", "đại lý"}
    assert others.intersection(tags_after) == others.intersection(tags)


@given(total=totals, change=st.integers(-2000, 2000), minimum=st.integers(0, 1500))
def test_small_changes_of_the_total_are_left_alone(total: int, change: int, minimum: int) -> None:
    """Without a change of the tier, a total is pushed from the minimum change on."""
    known = rules(minimum_change=minimum, tier_tags=False)
    present: Metafields = {TOTAL: metafield(str(total + change))}
    pushed = bool(known.differences(known.standing(Decimal(total)), present, []).metafields)
    assert pushed == (change != 0 and abs(change) >= minimum)


@pytest.mark.parametrize("value", ["", "12.0", "a lot", "1e6", "٣"])
def test_what_is_no_integer_is_replaced(value: str) -> None:
    """A value that nobody can calculate with is written over, however near it is."""
    known = rules()
    (difference,) = known.differences(known.standing(Decimal(12)), {TOTAL: metafield(value)}, ["MEMBER"]).metafields
    assert (difference.desired, difference.present_value) == ("12", value)


def test_total_goes_along_with_the_tier() -> None:
    """A change of one dong is pushed where it changes the tier, by tag or by metafield."""
    standing = rules().standing(Decimal(3_000_000))
    present: Metafields = {TOTAL: metafield("2999999"), TIER: metafield("MEMBER")}
    by_tag = rules().differences(standing, present, ["MEMBER"])
    assert [each.name for each in by_tag.metafields] == [TOTAL]
    by_metafield = rules(tier=TIER, tier_tags=False).differences(standing, present, [])
    assert [(each.name, each.desired) for each in by_metafield.metafields] == [(TOTAL, "3000000"), (TIER, "SILVER")]
    assert not rules(tier_tags=False).differences(standing, present, ["MEMBER"])


def test_tags_know_no_case() -> None:
    """A tier tag that differs in case only is the right one, and is left as it is spelt."""
    known = rules()
    standing = known.standing(Decimal(6_000_000))
    present: Metafields = {TOTAL: metafield("6000000")}
    assert not known.differences(standing, present, ["gold", "Vip"])
    changed = known.differences(standing, present, ["gold", "Silver", "Vip"]).tags
    assert changed is not None
    assert (changed.added, changed.removed) == ((), ("Silver",))


def test_without_a_tier_the_tag_goes_and_the_metafield_stays() -> None:
    """Who has fallen below the lowest tier loses its tag; Shopify takes no blank metafield."""
    known = rules(tier=TIER, tiers=[{"name": "SILVER", "from": 3_000_000}])
    found = known.differences(
        known.standing(Decimal(5)), {TOTAL: metafield("5"), TIER: metafield("SILVER")}, ["Silver"]
    )
    assert found.metafields == ()
    assert found.tags is not None
    assert (found.tags.added, found.tags.removed) == ((), ("Silver",))
