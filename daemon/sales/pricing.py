"""The sale price of one variant: nothing but arithmetic."""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from daemon.config import SaleSettings
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.money import Currency
from daemon.sources.shopify.models import PricePair

HUNDRED = Decimal(100)

NO_CHEAPER_BY_FLOOR = mark("it already costs no more than the floor")
# Without the floor only a compare-at price can do that: rounding goes down.
NO_CHEAPER = mark("the discount from its compare-at price would not make it cheaper")


@dataclass(frozen=True, slots=True)
class NotOnSale:
    """Why a variant gets no sale price, for a person."""

    reason: str


def sale_prices(rule: SaleSettings, base: PricePair) -> PricePair | NotOnSale:
    """What a variant costs during the sale, and what is crossed out beside it.

    Rounding goes down, so that nobody gets less of a discount than was promised; the floor holds whatever rounding
    says. A compare-at price that does not lie above the price is none: Shopify does not show it as one.

    Args:
        rule: the discount, and how prices are rounded.
        base: the prices that the variant has without the sale.
    """
    crossed_out = base.compare_at if base.compare_at is not None and base.compare_at > base.price else None
    reference = crossed_out if crossed_out is not None and rule.discount_from == "compare_at_price" else base.price
    if base.price <= 0:
        return NotOnSale(_("it is already free"))
    price = _rounded(_discounted(rule, reference), rule)
    is_at_floor = rule.floor is not None and price < rule.floor
    if rule.floor is not None and is_at_floor:
        price = rule.floor
    if price <= 0:
        return NotOnSale(_("the discount would leave nothing of its price: set a floor"))
    if price >= base.price:
        return NotOnSale(_(NO_CHEAPER_BY_FLOOR) if is_at_floor else _(NO_CHEAPER))
    return PricePair(price, crossed_out if crossed_out is not None else base.price)


def currency_doubt(rule: SaleSettings, shop: Currency, usual: Currency) -> str | None:
    """Why it is not clear which currency a sale's sums of money are in; None if there is no doubt.

    A rounding that only the shop's currency can hold is clear by itself: nobody rounds to 0.01 đồng.

    Args:
        rule: the sale.
        shop: the currency of the shop's prices.
        usual: that of Nhanh.vn's amounts, which the author of the sale may have had in mind.
    """
    if shop == usual:
        return None
    rounding = [name for name, sum_ in rule.rounding.items() if usual.can_hold(sum_) or not shop.can_hold(sum_)]
    doubtful = [*rule.sums, *rounding]
    if not doubtful:
        return None
    return _(
        "The shop's currency is {shop}, and Nhanh.vn's amounts are in {usual}, so it is not clear which of "
        "them {doubtful} of the sale {name} is in. Give the discount in percent, and round it to what only "
        '{shop} has, or set currency = "{shop}" in [stores.{store}.nhanh] if Nhanh.vn has it.'
    ).format(shop=shop, usual=usual, doubtful=_(" and ").join(doubtful), name=rule.name, store=rule.store)


def _discounted(rule: SaleSettings, reference: Decimal) -> Decimal:
    if rule.percent is not None:
        return reference * (HUNDRED - rule.percent) / HUNDRED
    return reference - (rule.amount or 0)


def _rounded(price: Decimal, rule: SaleSettings) -> Decimal:
    """The greatest price that is not above this one, a multiple of `round_to` plus `ending`."""
    ending = rule.ending or Decimal(0)
    steps = ((price - ending) / rule.round_to).to_integral_value(ROUND_FLOOR)
    return steps * rule.round_to + ending
