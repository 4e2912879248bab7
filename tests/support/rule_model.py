"""The rules of the product sync, told again in plain Python, and rules and words to try them with."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from daemon.config import ProductSyncSettings, RangeSettings, RuleSettings
from daemon.sync.products.obstacles import OF_PAIR, Obstacle

MOST = 1_000_000_000
OF_THE_PAIR = {obstacle for obstacle, _ in OF_PAIR}

# Alike or not: by case, by how the accents are encoded, by the accents themselves, by blanks around them.
WORDS = (
    "Áo",
    "ÁO ",
    unicodedata.normalize("NFD", "áo"),
    "ao",
    "Đèn",
    "đÈn",
    "den",
    "ΣΟΦΟΣ",
    "σοφος",
    "МОСКВА",
    "москва",
)

words = st.sampled_from(WORDS[:3] * 2 + WORDS)
several = st.one_of(words, st.lists(words, min_size=1, max_size=3))
ids = st.one_of(st.sampled_from([301, 302]), st.lists(st.sampled_from([301, 302, 303]), min_size=1, max_size=2))


def ranges(*figures: str) -> st.SearchStrategy[dict[str, str]]:
    """From, to or both."""
    low, high = st.sampled_from(figures[: len(figures) // 2]), st.sampled_from(figures[len(figures) // 2 :])
    return st.one_of(
        st.fixed_dictionaries({"from": low}),
        st.fixed_dictionaries({"from": low}),
        st.fixed_dictionaries({"to": high}),
        st.fixed_dictionaries({"from": low, "to": high}),
    )


@st.composite
def rules(draw: st.DrawFn, *, with_prices: bool) -> list[dict[str, Any]]:
    """Up to four rules, as a file may say them."""
    conditions: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(("vendor", "tag", "type"), several),
        **dict.fromkeys(("category", "brand"), ids),
    }
    if with_prices:
        conditions["price"] = ranges("90000", "100000", "100000", "110000")
    effects: dict[str, st.SearchStrategy[Any]] = {
        "ask": st.booleans(),
        "reserve": st.sampled_from([0, 1, 2, 3]),
        "maximum": st.sampled_from([0, 1, 4, 6]),
    }
    found = []
    for number in range(draw(st.integers(0, 4))):
        said = {name: draw(conditions[name]) for name in draw(st.sets(st.sampled_from(sorted(conditions)), max_size=1))}
        may_go_by_stock = draw(st.booleans()) or not said
        if may_go_by_stock:
            said["stock"] = draw(ranges("0", "2", "2", "7.5"))
            of_rule = effects
        else:
            of_rule = effects | {"skip": st.just(False), "hold_price": st.booleans()}
        does = {name: draw(of_rule[name]) for name in draw(st.sets(st.sampled_from(sorted(of_rule)), min_size=2))}
        if not may_go_by_stock and draw(st.integers(0, 3)) == 0:
            does = {"skip": True}
        found.append({"name": f"rule {number}", "when": said, **does})
    return found


@dataclass(frozen=True)
class Facts:
    """What rules ask of a variant; `price` is what a sync would set, and `lacks_price` whether Nhanh.vn has one from
    which it can't be told."""

    vendor: str | None = None
    tags: Sequence[str] = ()
    product_type: str | None = None
    category: int | None = None
    brand: int | None = None
    price: Decimal | None = None
    lacks_price: bool = False


@dataclass(frozen=True)
class RuleModel:
    """What the rules of a store decide of a variant."""

    settings: ProductSyncSettings
    facts: Facts

    def first(self, effect: str, stock: Decimal | None = None) -> tuple[str | None, Any]:
        """The name of the rule that decides about an effect, and what it says; of a location with its stock."""
        for rule in self.settings.rules:
            said = getattr(rule, effect)
            if said is not None and self._bears(rule, stock):
                return rule.name, said
        return None, None

    def desired(self, location_id: int, total: Decimal) -> int:
        """The stock of a location."""
        reserve, maximum = self.first("reserve", total)[1], self.first("maximum", total)[1]
        reserve = self.settings.reserve if reserve is None else reserve
        maximum = self.settings.maximum if maximum is None else maximum
        left = max(math.floor(total * self.settings.shares.get(str(location_id), 100) / 100) - reserve, 0)
        return min(left, MOST if maximum is None else maximum, MOST)

    def obstacle(self, otherwise: Obstacle | None, *, of_prices: bool) -> Obstacle | None:
        """Why a value is left alone; `otherwise`: without rules."""
        if otherwise in OF_THE_PAIR:
            return otherwise
        if self.first("skip")[1]:
            return Obstacle.BY_RULE
        if of_prices and self.first("hold_price")[1]:
            return Obstacle.PRICE_BY_RULE
        if otherwise is None and not of_prices and self._is_undecided:
            return Obstacle.RULE_WITHOUT_PRICE
        return otherwise

    @property
    def _is_undecided(self) -> bool:
        """Whether a rule that goes by price may decide about the stock, and there is no telling."""
        return self.facts.lacks_price and any(
            rule.when.price is not None and rule.effects.keys() - {"hold_price"} and self._names_it(rule)
            for rule in self.settings.rules
        )

    def _bears(self, rule: RuleSettings, stock: Decimal | None) -> bool:
        when = rule.when
        return self._names_it(rule) and _holds(when.price, self.facts.price) and _holds(when.stock, stock)

    def _names_it(self, rule: RuleSettings) -> bool:
        when, facts = rule.when, self.facts
        return (
            _names(when.vendor, facts.vendor)
            and (when.tag is None or any(_names(when.tag, tag) for tag in facts.tags))
            and _names(when.type, facts.product_type)
            and (when.category is None or facts.category in when.category)
            and (when.brand is None or facts.brand in when.brand)
        )


def alike(text: str) -> str:
    """The same for what people take for the same word."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def _names(wanted: Sequence[str] | None, text: str | None) -> bool:
    return wanted is None or (text is not None and alike(text) in map(alike, wanted))


def _holds(limits: RangeSettings | None, figure: Decimal | None) -> bool:
    if limits is None:
        return True
    if figure is None:
        return False
    return (limits.lowest is None or figure >= limits.lowest) and (limits.highest is None or figure <= limits.highest)
