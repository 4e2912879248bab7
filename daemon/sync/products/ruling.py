"""Which rules of the configuration bear on a variant, and what they decide: stated once, as SQL.

A statement of the plan begins with `RULES`, the rules as a table, and joins `on_variants` to each variant. What goes by
the stock of a location is decided by `STOCK_RULING`, beside the total of a variant there. All rules travel as one
parameter, the last one of the statement, which the fragments call `$rules`. Without rules there is none of it.

Of each effect the first rule that has it and matches decides: it comes as the pair [place, value].
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from daemon.config import ProductSyncSettings, RangeSettings, RuleSettings
from daemon.i18n import gettext as _
from daemon.i18n import ngettext, number_text
from daemon.money import amount_text
from daemon.sync.products.obstacles import Condition, Obstacle

FIGURES = ("reserve", "maximum")  # the others are true or false
ON_STOCK = ("reserve", "maximum", "ask")  # what may be decided of the stock at a location that is pushed …
ON_PRICES = ("ask",)  # … and of prices
PARAMETER = re.compile(r"\$([0-9]+)")


def _as_spelt(column: str, kind: str) -> str:
    """The vendors, tags or types of the shop that are meant by the words of a rule; NULL where it names none."""
    return f"""CASE WHEN rule.{column} IS NOT NULL THEN ARRAY(
            SELECT value FROM dongbo.product_choices AS choice WHERE choice.store = $1 AND choice.kind = '{kind}'
              AND choice.alike = ANY (ARRAY(SELECT dongbo.alike(word) FROM unnest(rule.{column}) AS word))
        ) END"""


RULES: Final = f"""rule AS MATERIALIZED (
    SELECT place, skip, ask, reserve, maximum, hold_price, category, brand, price_from, price_to, stock_from, stock_to,
        stock_from IS NOT NULL OR stock_to IS NOT NULL AS is_by_stock,
        price_from IS NOT NULL OR price_to IS NOT NULL AS is_by_price,
        {_as_spelt("vendor", "vendor")} AS vendors,
        {_as_spelt("tag", "tag")} AS tags,
        {_as_spelt("type", "type")} AS types
    FROM jsonb_to_recordset($rules::jsonb) AS rule (
        place integer, vendor text[], tag text[], type text[], category bigint[], brand bigint[], price_from numeric,
        price_to numeric, stock_from numeric, stock_to numeric, skip integer, ask integer, reserve integer,
        maximum integer, hold_price integer
    )
), """


def _first(effect: str, condition: str = "true") -> str:
    """The pair [place, value] of the first rule that has an effect."""
    return f"""min(ARRAY[rule.place, rule.{effect}])
            FILTER (WHERE rule.{effect} IS NOT NULL AND {condition}) AS {effect}_by"""


def in_range(figure: str, column: str) -> str:
    """Whether a figure lies in the range that `rule` gives for it."""
    return f"""(rule.{column}_from IS NULL OR {figure} >= rule.{column}_from)
          AND (rule.{column}_to IS NULL OR {figure} <= rule.{column}_to)"""


# Which rules match a variant, whatever it costs and wherever it lies.
MATCHES = """(rule.vendors IS NULL OR goods.vendor = ANY (rule.vendors))
          AND (rule.tags IS NULL OR goods.tags && rule.tags)
          AND (rule.types IS NULL OR goods.product_type = ANY (rule.types))
          AND (rule.category IS NULL OR listed.category_id = ANY (rule.category))
          AND (rule.brand IS NULL OR listed.brand_id = ANY (rule.brand))"""


def on_variants(price: str) -> str:
    """Joins `ruled` to a variant, its mapping and its product: what the rules say of all of it.

    `price` is what its price would be, as an SQL expression. `ruled.places` are the rules that match apart from stock.
    """
    return f"""
    LEFT JOIN LATERAL (
        SELECT vendor, product_type, tags FROM dongbo.shopify_products
        WHERE store = $1 AND id = variant.product_id LIMIT 1
    ) AS goods ON true
    LEFT JOIN LATERAL (
        SELECT category_id, brand_id FROM dongbo.nhanh_products WHERE store = $1 AND id = mapping.nhanh_id LIMIT 1
    ) AS listed ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(rule.place) AS places,
            {_first("skip")},
            {_first("hold_price")},
            {_first("ask", "NOT rule.is_by_stock")}
        FROM rule
        WHERE {MATCHES}
          AND {in_range(price, "price")}
    ) AS ruled ON true
"""


def undecided(price: str, quoted: str) -> Condition:
    """That a rule which may decide about a variant's stock goes by its price, which can't be told although Nhanh.vn has
    one: `quoted`. `on_variants` must be joined to the variant."""
    return (
        Obstacle.RULE_WITHOUT_PRICE,
        f"""{quoted} > 0 AND {price} IS NULL AND EXISTS (
            SELECT FROM rule WHERE {MATCHES} AND rule.is_by_price
              AND num_nonnulls(rule.skip, rule.ask, rule.reserve, rule.maximum) > 0
        )""",
    )


# Beside `totals`: a variant at a location, with the rules that match apart from stock.
STOCK_RULING: Final = f"""
    LEFT JOIN LATERAL (
        SELECT {_first("ask")},
            {_first("reserve")},
            {_first("maximum")}
        FROM rule WHERE rule.place = ANY (totals.rule_places) AND {in_range("totals.total", "stock")}
    ) AS ruled ON true
"""

SKIPPED: Condition = (Obstacle.BY_RULE, "ruled.skip_by[2] = 1")
HELD: Condition = (Obstacle.PRICE_BY_RULE, "ruled.hold_price_by[2] = 1")


def numbered(statement: str) -> str:
    """The statement with the number of its last parameter, the rules; the same where it has no rules."""
    if "$rules" not in statement:
        return statement
    return statement.replace("$rules", f"${max(map(int, PARAMETER.findall(statement))) + 1}")


@dataclass(frozen=True, slots=True)
class AppliedRule:
    """What a rule has decided of a value: `effect` is a key of the configuration."""

    name: str
    effect: str
    value: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """The rules of a store, and what they have decided of rows of the plan."""

    rules: Sequence[RuleSettings]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The last parameter of a statement with rules; none without."""
        if not self.rules:
            return ()
        described = [_described(place, rule) for place, rule in enumerate(self.rules, start=1)]
        return (orjson.dumps(described).decode(),)

    @property
    def goes_by_price(self) -> bool:
        """Whether any rule asks for the price of a variant."""
        return any(rule.when.price is not None for rule in self.rules)

    def applied(self, row: Mapping[str, Any], *effects: str) -> list[AppliedRule]:
        """Which rules have decided about these effects in a row of the plan, exceptions left out."""
        found = []
        for effect in effects if self.rules else ():
            pair = row[f"{effect}_by"]
            if pair is not None and (pair[1] or effect in FIGURES):
                found.append(AppliedRule(self.rules[pair[0] - 1].name, effect, pair[1]))
        return found


def names(applied: Sequence[AppliedRule]) -> str | None:
    """The rules that have decided a value, as the push log has them."""
    return ", ".join(dict.fromkeys(rule.name for rule in applied)) or None


def asks(applied: Sequence[AppliedRule]) -> bool:
    """Whether a person is asked before the value changes."""
    return any(rule.effect == "ask" for rule in applied)


def stock_terms(settings: ProductSyncSettings, location_id: int, applied: Sequence[AppliedRule]) -> list[str]:
    """What makes the stock of a location another than that of its depots, in words: of the store, and of rules."""
    terms, decided = [], {rule.effect for rule in applied}
    if (share := settings.share_of.get(location_id)) is not None:
        terms.append(_("the location's share is {share} %").format(share=share))
    if settings.reserve and "reserve" not in decided:
        sentence = ngettext("{n} piece is held back", "{n} pieces are held back", settings.reserve)
        terms.append(sentence.format(n=number_text(settings.reserve)))
    if settings.maximum is not None and "maximum" not in decided:
        terms.append(_("a location gets at most {n}").format(n=number_text(settings.maximum)))
    return [*terms, *map(words, applied)]


def with_terms(reason: str, terms: Sequence[str]) -> str:
    """A reason, and what else has a part in it."""
    return f"{reason}; {', '.join(terms)}" if terms else reason


def words(applied: AppliedRule) -> str:
    """What a rule does, in words that follow a figure."""
    match applied.effect:
        case "reserve":
            sentence = ngettext(
                "the rule “{rule}” holds {n} piece back", "the rule “{rule}” holds {n} pieces back", applied.value
            )
        case "maximum":
            sentence = _("the rule “{rule}” lets a location have at most {n}")
        case "skip":
            sentence = _("the rule “{rule}” leaves it alone")
        case "hold_price":
            sentence = _("the rule “{rule}” leaves its prices alone")
        case _:
            sentence = _("the rule “{rule}” asks a person first")
    return sentence.format(rule=applied.name, n=number_text(applied.value))


def _described(place: int, rule: RuleSettings) -> dict[str, Any]:
    """A rule as a row of `RULES`."""
    when = rule.when
    return {
        "place": place,
        **{name: getattr(when, name) for name in ("vendor", "tag", "type", "category", "brand")},
        **_limits("price", when.price),
        **_limits("stock", when.stock),
        **{name: int(effect) for name, effect in rule.effects.items()},
    }


def _limits(name: str, limits: RangeSettings | None) -> dict[str, str | None]:
    if limits is None:
        return {}
    return {
        f"{name}_{key}": None if limit is None else amount_text(limit)
        for key, limit in (("from", limits.lowest), ("to", limits.highest))
    }
