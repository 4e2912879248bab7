"""What a variant costs during a sale: what holds over all rules and prices, and examples to check by hand."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.config import SaleSettings
from daemon.sales.pricing import NotOnSale, sale_prices
from daemon.sources.shopify.models import PricePair

CENT = Decimal("0.01")
LEAVES_NOTHING = "the discount would leave nothing of its price: set a floor"
NO_CHEAPER = "the discount from its compare-at price would not make it cheaper"
NO_CHEAPER_BY_FLOOR = "it already costs no more than the floor"
DEAREST = Decimal(10) ** 9


def rule(**keys: Any) -> SaleSettings:
    """A campaign with this discount and rounding."""
    return SaleSettings.model_validate({"name": "tet", "store": "main", "targets": {"all": True}, **keys})


def prices(price: object, compare_at: object = None) -> PricePair:
    """As the journal has them."""
    return PricePair(Decimal(str(price)), None if compare_at is None else Decimal(str(compare_at)))


def at_most(most: Decimal, least: Decimal = CENT) -> st.SearchStrategy[Decimal]:
    """Amounts in cents, many of them of a size that prices have."""
    usual = min(max(most / 1000, least), most).quantize(CENT)
    return st.decimals(least, usual, places=2) | st.decimals(least, most, places=2)


@st.composite
def rules(draw: st.DrawFn) -> SaleSettings:
    """Any discount with any rounding."""
    keys: dict[str, Any] = {"discount_from": draw(st.sampled_from(["compare_at_price", "price"]))}
    if draw(st.booleans()):
        keys["percent"] = draw(st.decimals(CENT, Decimal("99.99"), places=2) | st.integers(1, 99).map(Decimal))
    else:
        keys["amount"] = draw(at_most(DEAREST))
    keys["round_to"] = draw(st.sampled_from([CENT, Decimal(1), Decimal(1000), Decimal(10_000)]) | at_most(DEAREST))
    if draw(st.booleans()):
        keys["ending"] = Decimal(draw(st.integers(0, int(keys["round_to"] * 100) - 1))) / 100
    if draw(st.booleans()):
        keys["floor"] = draw(at_most(DEAREST))
    return rule(**keys)


@st.composite
def any_prices(draw: st.DrawFn) -> PricePair:
    """Any price, mostly with a compare-at price above, at or below it."""
    price = draw(at_most(DEAREST))
    amounts = st.none() | st.just(price) | at_most(DEAREST) | at_most(2 * DEAREST, price)
    return PricePair(price, draw(amounts))


def reference(campaign: SaleSettings, base: PricePair) -> Decimal:
    """The price that the discount is taken from."""
    if campaign.discount_from == "compare_at_price" and base.compare_at is not None:
        return max(base.price, base.compare_at)
    return base.price


def promised(campaign: SaleSettings, base: PricePair) -> Decimal:
    """What is left of the reference by the discount alone."""
    whole = reference(campaign, base)
    return whole - campaign.amount if campaign.amount is not None else whole * (100 - (campaign.percent or 0)) / 100


class TestProperties:
    """What holds whatever the campaign says and whatever the variant costs."""

    @given(rules(), any_prices())
    @example(rule(percent=20, round_to=1000, ending=900, floor=90_000), prices(90_450))
    @example(rule(amount="0.01", round_to=CENT), prices("0.02"))
    def test_a_sale_price_keeps_every_promise(self, campaign: SaleSettings, base: PricePair) -> None:
        """It lies below the price of before, above zero and not below the floor; and it gives at least the discount and
        ends as the rule says, unless the floor decides."""
        sale = sale_prices(campaign, base)
        if isinstance(sale, NotOnSale):
            return
        assert 0 < sale.price < base.price
        if campaign.floor is not None:
            assert sale.price >= campaign.floor
        if sale.price != campaign.floor:
            assert sale.price <= promised(campaign, base)
            assert promised(campaign, base) - sale.price < campaign.round_to
            assert (sale.price - (campaign.ending or 0)) % campaign.round_to == 0

    @given(rules(), any_prices())
    def test_what_is_crossed_out_lies_above(self, campaign: SaleSettings, base: PricePair) -> None:
        """The compare-at price of before stays where it was one; else it is the price of before."""
        sale = sale_prices(campaign, base)
        if isinstance(sale, NotOnSale):
            return
        had_one = base.compare_at is not None and base.compare_at > base.price
        assert sale.compare_at == (base.compare_at if had_one else base.price)
        assert sale.compare_at is not None
        assert sale.compare_at > sale.price

    @given(rules(), any_prices())
    def test_only_where_no_price_would_do(self, campaign: SaleSettings, base: PricePair) -> None:
        """A variant is left out only if it would get no cheaper, or nothing would be left of its price; and says so."""
        outcome = sale_prices(campaign, base)
        if isinstance(outcome, PricePair):
            return
        below = promised(campaign, base)
        if outcome.reason == LEAVES_NOTHING:
            assert campaign.floor is None
            assert below < campaign.round_to + (campaign.ending or 0)
        elif outcome.reason == NO_CHEAPER_BY_FLOOR:
            assert campaign.floor is not None
            assert campaign.floor >= base.price
            assert campaign.floor > below - campaign.round_to
        else:
            assert outcome.reason == NO_CHEAPER
            assert below >= base.price
            assert reference(campaign, base) == base.compare_at

    @given(rules(), any_prices())
    def test_money_is_decimal(self, campaign: SaleSettings, base: PricePair) -> None:
        """No binary fraction comes near a price, and its text is what Shopify takes: digits, at most two decimals."""
        sale = sale_prices(campaign, base)
        if isinstance(sale, NotOnSale):
            return
        for amount in sale:
            assert type(amount) is Decimal
            assert amount == amount.quantize(CENT)
            assert set(str(amount)) <= set("0123456789.")

    @given(rules(), any_prices())
    def test_the_compare_at_price_is_no_matter_to_a_discount_from_the_price(
        self, campaign: SaleSettings, base: PricePair
    ) -> None:
        """With discount_from = "price" only the price decides; with none above it both rules are the same."""
        from_price = campaign.model_copy(update={"discount_from": "price"})
        alone = sale_prices(from_price, PricePair(base.price, None))
        assert _price(sale_prices(from_price, base)) == _price(alone)
        if base.compare_at is None or base.compare_at <= base.price:
            assert sale_prices(campaign, base) == sale_prices(from_price, base) == alone

    @given(rules(), any_prices(), at_most(DEAREST))
    def test_a_floor_never_makes_cheaper(self, campaign: SaleSettings, base: PricePair, floor: Decimal) -> None:
        """With a floor a variant costs what it would cost without, or more."""
        without = sale_prices(campaign.model_copy(update={"floor": None}), base)
        with_one = sale_prices(campaign.model_copy(update={"floor": floor}), base)
        if isinstance(without, PricePair) and isinstance(with_one, PricePair):
            assert with_one.price == max(without.price, floor)

    @given(any_prices(), st.integers(1, 98), st.sampled_from([CENT, Decimal(1), Decimal(1000)]))
    def test_a_greater_discount_is_never_dearer(self, base: PricePair, percent: int, round_to: Decimal) -> None:
        """Rounding does not turn the order of two discounts round."""
        less, more = (sale_prices(rule(percent=p, round_to=round_to), base) for p in (percent, percent + 1))
        if isinstance(less, PricePair) and isinstance(more, PricePair):
            assert more.price <= less.price


class TestExamples:
    """Prices that can be checked by hand."""

    @pytest.mark.parametrize(
        ("keys", "base", "sale"),
        [
            # VND: 80 % of 90,450 are 72,360
            ({"percent": 20}, (90_450,), (72_360, 90_450)),
            ({"percent": 20, "round_to": 1000}, (90_450,), (72_000, 90_450)),
            ({"percent": 20, "round_to": 1000, "ending": 900}, (90_450,), (71_900, 90_450)),
            ({"percent": 20, "round_to": 1000, "ending": 900}, (91_125,), (72_900, 91_125)),  # 72,900 exactly
            ({"percent": 20, "round_to": 10_000, "ending": 9000}, (90_450,), (69_000, 90_450)),
            ({"percent": "0.55", "round_to": 1000, "ending": 900}, (90_450,), (89_900, 90_450)),
            ({"percent": 20, "round_to": 1000, "floor": 72_500}, (90_450,), (72_500, 90_450)),
            ({"percent": 20, "round_to": 1000, "floor": 72_000}, (90_450,), (72_000, 90_450)),
            ({"percent": 33, "round_to": 1}, (100_001,), (67_000, 100_001)),  # 67,000.67
            ({"amount": 50_000}, (90_450,), (40_450, 90_450)),
            ({"amount": 50_000, "round_to": 1000, "ending": 900}, (90_450,), (39_900, 90_450)),
            ({"amount": 90_449}, (90_450,), (1, 90_450)),
            ({"amount": 90_450, "floor": 10_000}, (90_450,), (10_000, 90_450)),
            ({"amount": 200_000, "floor": 10_000, "round_to": 1000}, (90_450,), (10_000, 90_450)),
            # a compare-at price above the price is what the discount is taken from, and stays
            ({"percent": 20}, (90_000, 100_000), (80_000, 100_000)),
            ({"percent": 20, "discount_from": "price"}, (90_000, 100_000), (72_000, 100_000)),
            ({"amount": 15_000}, (90_000, 100_000), (85_000, 100_000)),
            ({"amount": 15_000, "discount_from": "price"}, (90_000, 100_000), (75_000, 100_000)),
            # one at or below the price is none
            ({"percent": 20}, (100_000, 100_000), (80_000, 100_000)),
            ({"percent": 20}, (100_000, 90_000), (80_000, 100_000)),
            ({"percent": 20}, (100_000, 0), (80_000, 100_000)),
            # a currency with cents
            ({"percent": 15, "round_to": "0.01"}, ("19.99",), ("16.99", "19.99")),  # 16.9915
            ({"percent": 15, "round_to": 1, "ending": "0.99"}, ("19.99",), ("16.99", "19.99")),
            ({"percent": 15, "round_to": 1, "ending": "0.95"}, ("19.99",), ("16.95", "19.99")),
            ({"percent": 50, "round_to": "0.05"}, ("9.99",), ("4.95", "9.99")),
            ({"percent": 50, "round_to": "0.01"}, ("0.02",), ("0.01", "0.02")),
            ({"percent": "99.99", "round_to": "0.01"}, ("999.99",), ("0.09", "999.99")),
        ],
    )
    def test_on_sale(self, keys: dict[str, Any], base: tuple[object, ...], sale: tuple[object, ...]) -> None:
        """Each to the cent."""
        assert sale_prices(rule(**keys), prices(*base)) == prices(*sale)

    @pytest.mark.parametrize(
        ("keys", "base", "reason"),
        [
            ({"amount": 100_000}, (90_450,), LEAVES_NOTHING),
            ({"amount": 90_450}, (90_450,), LEAVES_NOTHING),
            ({"percent": 99}, (90,), LEAVES_NOTHING),
            ({"percent": 50, "round_to": "0.01"}, ("0.01",), LEAVES_NOTHING),
            ({"percent": 20, "round_to": 1000}, (900,), LEAVES_NOTHING),
            ({"percent": 20, "floor": 95_000}, (90_450,), NO_CHEAPER_BY_FLOOR),
            ({"percent": 20, "floor": 90_450}, (90_450,), NO_CHEAPER_BY_FLOOR),
            ({"percent": 20, "floor": 75_000}, (70_000, 100_000), NO_CHEAPER),
            ({"percent": 20}, (80_000, 100_000), NO_CHEAPER),
            ({"percent": 20}, (70_000, 100_000), NO_CHEAPER),
            ({"percent": 20}, (0,), "it is already free"),
            ({"percent": 20}, (0, 100_000), "it is already free"),
            ({"amount": 5, "floor": 10}, (0,), "it is already free"),
        ],
    )
    def test_left_out(self, keys: dict[str, Any], base: tuple[object, ...], reason: str) -> None:
        """A variant that the rule does not make cheaper, or makes a present, is left out with its reason."""
        assert sale_prices(rule(**keys), prices(*base)) == NotOnSale(reason)


def _price(outcome: PricePair | NotOnSale) -> Decimal | None:
    return outcome.price if isinstance(outcome, PricePair) else None
