"""All SQL of the plan: what Shopify should say of variants, beside what the mirror says that it says.

What a variant should have and what is in the way is one statement for stock and one for prices. Over a window of
products it finds the differences to push; for single variants it says what the plan decides about them.
"""

from collections.abc import Sequence

from daemon.config import ProductSyncSettings
from daemon.mirror.shops import Shop
from daemon.sales.model import HELD_SQL
from daemon.sync.products.obstacles import (
    COMBO,
    HAS_UNREAD_ON_HAND,
    NO_STOCK,
    OF_PAIR,
    OF_SALE,
    Condition,
    first_obstacle,
    of_item,
)
from daemon.sync.products.rows import large_change
from daemon.sync.products.rules import COMBO_SETS, RELATED, VARIANTS, VAT, PriceRule, desired_stock, does_not_stick
from daemon.sync.products.ruling import (
    HELD,
    RULES,
    SKIPPED,
    STOCK_RULING,
    Ruling,
    in_range,
    numbered,
    on_variants,
    undecided,
)

SAMPLE = 50  # rows of a window that come back of a survey though nobody is asked about them
BEHIND = "(pair.product_id, pair.variant_id, location.id) > ($6, $7, $8)"
NAMED = 5  # variants of each reason for which they are left alone
MAX_QUANTITY = 1_000_000_000  # Shopify documentation, inventorySetQuantities: the most that an item may have

NEXT_WINDOW = """
SELECT product_id FROM dongbo.shopify_variants WHERE store = $1 AND product_id > $2
ORDER BY product_id OFFSET $3 LIMIT 1
"""

# A live pair is a variant and the product that it is mapped to, neither of which is deleted.
IS_PAIR = "variant.deleted_at IS NULL AND product.id IS NOT NULL AND product.deleted_at IS NULL"
IN_WINDOW = "variant.product_id > $2 AND variant.product_id <= $3"
PAIRS = f"{VARIANTS} WHERE variant.store = $1 AND {IN_WINDOW} AND {IS_PAIR} {{chosen}}"
PRICED_PAIRS = f"{VARIANTS} {VAT} WHERE variant.store = $1 AND {IN_WINDOW} AND {IS_PAIR} {{chosen}}"

# What narrows a statement to some variants, by its last parameter. Of stock, whatever shares an item with one of them
# is looked at along with it: the first of these stands for all.
SOME = "AND variant.id = ANY (${number})"
SOME_OF_STOCK = """AND variant.inventory_item_id = ANY (ARRAY(
        SELECT inventory_item_id FROM dongbo.shopify_variants WHERE store = $1 AND id = ANY (${number})
    ))"""

# What a location's depots hold of a product. One that a product with known stock does not list holds nothing.
HELD_STOCK = """
            SELECT coalesce(sum(held.{figure}), 0) FROM depot JOIN dongbo.nhanh_inventory AS held
                ON held.store = $1 AND held.product_id = {product} AND held.depot_id = depot.id
            WHERE depot.location_id = location.id AND held.deleted_at IS NULL
"""

# What is not stocked at a location and should not be there is right as it is.
STOCK = """
WITH {rules}depot AS MATERIALIZED (
    SELECT * FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS depot (location_id, id, place)
), pair AS MATERIALIZED (
    SELECT variant.product_id, variant.id AS variant_id, variant.inventory_item_id AS item_id, variant.sku,
        product.id AS nhanh_id, product.code, product.type IS NOT DISTINCT FROM {combo_type} AS is_combo,
        {obstacle} AS obstacle{ruled}
    {variants}
    WHERE variant.store = $1 AND {chosen}
), totals AS MATERIALIZED (
    SELECT pair.*, location.id AS location_id, (
        SELECT {quantity} FROM dongbo.shopify_inventory_levels
        WHERE store = $1 AND inventory_item_id = pair.item_id AND location_id = location.id AND deleted_at IS NULL
    ) AS present,
    CASE WHEN is_combo THEN ({sets}) ELSE ({held}) END AS total
    FROM pair CROSS JOIN (SELECT DISTINCT location_id AS id FROM depot) AS location
    WHERE {behind}
), compared AS (
    SELECT {decided}, least({desired}, {most})::bigint AS desired FROM totals{on_stock}
), planned AS (
    SELECT *, coalesce(present, 0) <> desired AS differs,
        row_number() OVER (ORDER BY product_id, variant_id, location_id) AS place, count(*) OVER () AS population
    FROM compared
)
SELECT planned.*, (
    SELECT array_agg(coalesce(held.{figure}, 0) ORDER BY depot.place)
    FROM depot LEFT JOIN dongbo.nhanh_inventory AS held
        ON held.store = $1 AND held.product_id = planned.nhanh_id AND held.depot_id = depot.id
       AND held.deleted_at IS NULL
    WHERE depot.location_id = planned.location_id
) AS figures
FROM {planned} WHERE {shown}
ORDER BY place
"""

# A value that Shopify has twice changed to another one is not a difference.
PRICES = """
WITH {rules}pair AS (
    SELECT variant.product_id, variant.id AS variant_id, variant.sku, variant.price, variant.compare_at_price,
        product.id AS nhanh_id, product.code, {old_price} AS old_price, {price} AS wanted_price,
        {by_vat} IS TRUE AS is_by_vat, {quoted} AS quoted_price, {obstacle} AS obstacle{ruled}
    {variants}
    WHERE variant.store = $1 AND {chosen}
), wanted AS (
    SELECT pair.*, {compare_at_price} AS wanted_compare_at_price,
        row_number() OVER (ORDER BY product_id, variant_id) AS place, count(*) OVER () AS population
    FROM pair
), judged AS (
    SELECT *, price <> wanted_price AND {price_slips} AS price_slips,
        compare_at_price IS DISTINCT FROM wanted_compare_at_price AND {compare_at_slips} AS compare_at_slips
    FROM wanted
), planned AS (
    SELECT *, CASE WHEN price_slips THEN price ELSE wanted_price END AS desired_price,
        CASE WHEN compare_at_slips THEN compare_at_price ELSE wanted_compare_at_price END AS desired_compare_at_price
    FROM judged
), compared AS (
    SELECT *, (price, compare_at_price) IS DISTINCT FROM (desired_price, desired_compare_at_price) AS differs
    FROM planned
)
SELECT * FROM {planned} WHERE {shown} ORDER BY place
"""

# The last row of a window always comes, to tell how many there are.
DIFFERENCES = "differs OR place = population"
EVERYTHING = "true"

# For a survey, the database counts what differs: only rows about which a person may have to be asked come back, and a
# few more to show.
COUNTED = """(
    SELECT planned.*, count(*) FILTER (WHERE differs) OVER () AS differing, sum({changes}) OVER () AS changes,
        row_number() OVER (PARTITION BY differs ORDER BY place) AS nth
    FROM {planned} AS planned
) AS planned"""
PRICE_CHANGES = """(price <> desired_price)::integer
            + (compare_at_price IS DISTINCT FROM desired_compare_at_price)::integer"""
SURVEYED = "place = population OR differs AND (nth <= {sample} OR {is_risky})"
ALREADY_LEFT_OUT = "NULL::text"  # the obstacle of rows that were chosen for having none
OF_VARIANTS = "variant.id = ANY (${number})"

SLIPPING = """
SELECT coalesce(nullif(sku, ''), variant_id::text) AS name FROM (
    {window}
) AS found ORDER BY variant_id
"""

# On how many pairs each rule bears; one that goes by stock, at any location.
RULE_MATCHES = """
WITH {rules}depot AS MATERIALIZED (
    SELECT * FROM unnest($2::bigint[], $3::bigint[]) AS depot (location_id, id)
), pair AS MATERIALIZED (
    SELECT variant.id AS variant_id, product.id AS nhanh_id,
        product.type IS NOT DISTINCT FROM {combo_type} AS is_combo, ruled.places
    {variants}
    WHERE variant.store = $1 AND {is_pair}
), bears AS (
    SELECT rule.place, pair.variant_id FROM pair JOIN rule ON rule.place = ANY (pair.places) WHERE NOT rule.is_by_stock
    UNION
    SELECT rule.place, pair.variant_id
    FROM pair JOIN rule ON rule.place = ANY (pair.places)
    CROSS JOIN (SELECT DISTINCT location_id AS id FROM depot) AS location
    CROSS JOIN LATERAL (SELECT CASE WHEN pair.is_combo THEN ({sets}) ELSE ({held}) END AS stock) AS total
    WHERE rule.is_by_stock AND {in_range}
)
SELECT place, count(*) AS variants FROM bears GROUP BY place
"""

# What the mapped variants that a sale holds should go back to; what is not synced stays as the sale has found it.
HELD_PRICES = """
WITH {rules}pair AS (
    SELECT variant.id AS variant_id, variant.sku, product.id AS nhanh_id, product.code, {old_price} AS old_price,
        item.base_price, item.base_compare_at, {price} AS wanted_price, {by_vat} IS TRUE AS is_by_vat
    FROM (SELECT store, variant_id, base_price, base_compare_at FROM dongbo.sale_items
          WHERE store = $1 AND state IN {held} {chosen}) AS item
    JOIN dongbo.shopify_variants AS variant ON variant.store = item.store AND variant.id = item.variant_id
    JOIN dongbo.product_mappings AS mapping
        ON mapping.store = item.store AND mapping.variant_id = variant.id AND mapping.retired_at IS NULL
    JOIN dongbo.nhanh_products AS product
        ON product.store = item.store AND product.id = mapping.nhanh_id AND product.deleted_at IS NULL
    {related}
    WHERE variant.deleted_at IS NULL AND ({obstacle}) IS NULL
), planned AS (
    SELECT variant_id, base_price, base_compare_at, wanted_price AS desired_price,
        {compare_at_price} AS desired_compare_at, is_by_vat
    FROM pair
)
SELECT * FROM planned
WHERE (base_price, base_compare_at) IS DISTINCT FROM (desired_price, desired_compare_at)
ORDER BY variant_id
"""

# Mapped products whose stock Nhanh.vn has not reported yet, and the components of mapped combos; what is not counted
# there is not asked for.
UNKNOWN_STOCK = f"""
WITH pair AS MATERIALIZED (
    SELECT product.id, product.type, product.stock_known {PAIRS}
      AND variant.tracked AND variant.inventory_item_id IS NOT NULL
)
SELECT id FROM pair
WHERE NOT stock_known AND coalesce(type, 1) NOT IN {NO_STOCK} AND type IS DISTINCT FROM {COMBO}
UNION
SELECT component.id FROM pair
JOIN dongbo.nhanh_combo_items AS part ON part.store = $1 AND part.combo_id = pair.id
JOIN dongbo.nhanh_products AS component ON component.store = $1 AND component.id = part.item_id
WHERE pair.type = {COMBO} AND NOT component.stock_known AND component.deleted_at IS NULL
  AND coalesce(component.type, 1) NOT IN {NO_STOCK} AND component.type IS DISTINCT FROM {COMBO}
ORDER BY id
"""

# Items of mapped variants whose levels were read before what is on hand was asked for.
UNREAD_ON_HAND = f"""
SELECT variant.inventory_item_id AS item_id, min(variant.id) AS variant_id {PAIRS}
  AND variant.tracked AND variant.inventory_item_id IS NOT NULL AND {HAS_UNREAD_ON_HAND}
GROUP BY item_id ORDER BY item_id LIMIT $4
"""

# Mapped combos, with the components that product/list names, and those that were known.
COMBOS = f"""
SELECT DISTINCT ON (product.id) product.id, whole.document->'combos' AS combos, ARRAY(
    SELECT part.item_id FROM dongbo.nhanh_combo_items AS part WHERE part.store = $1 AND part.combo_id = product.id
    ORDER BY part.item_id
) AS item_ids, ARRAY(
    SELECT part.quantity FROM dongbo.nhanh_combo_items AS part WHERE part.store = $1 AND part.combo_id = product.id
    ORDER BY part.item_id
) AS quantities
{VARIANTS} JOIN dongbo.nhanh_products AS whole ON whole.store = $1 AND whole.id = product.id
WHERE variant.store = $1 AND {IN_WINDOW} AND {IS_PAIR} AND product.type = {COMBO} {{chosen}}
ORDER BY product.id
"""

# Mapped products whose price differs from the shop's by VAT, and whose VAT is not known, or was read long ago.
UNKNOWN_VAT = """
SELECT product.id, max(product.source_updated_at) AS updated_at {pairs} AND {needs_vat}
  AND product.price_vat_mode IN (1, 2) AND NOT EXISTS (
    SELECT FROM dongbo.nhanh_vat AS known
    WHERE known.store = $1 AND known.product_id = product.id
      AND known.product_updated_at IS NOT DISTINCT FROM product.source_updated_at
      AND known.read_at > clock_timestamp() - CASE WHEN known.rate IS NULL THEN {unknown_lasts} ELSE {known_lasts} END
  )
GROUP BY product.id ORDER BY bool_or(vat.is_read) NULLS FIRST, product.id LIMIT $4
"""
UNKNOWN_LASTS, KNOWN_LASTS = "interval '1 day'", "interval '30 days'"

# For every variant of the shop, why it gets no stock, and why no price where that is another reason. Materialized, or
# the obstacles of stock would be evaluated twice.
LEFT_ALONE = f"""
WITH {{rules}}judged AS MATERIALIZED (
    SELECT variant.id, variant.sku, {{of_stock}} AS stock, {{of_prices}} AS price
    {VARIANTS} {VAT} {{ruled}}
    WHERE variant.store = $1 AND variant.deleted_at IS NULL {{chosen}}
)
SELECT reason, count(*) AS variants,
    (array_agg(coalesce(nullif(sku, ''), id::text) ORDER BY id))[1:{NAMED}] AS examples
FROM judged CROSS JOIN LATERAL unnest(ARRAY[stock, nullif(price, stock)]) AS reason
WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason
"""

# Held until the caller's transaction has noted what it is about to push. A mapping that a match or a person is changing
# at this moment counts as none: the next sync goes by what it has become.
MAPPED = """
SELECT variant_id, nhanh_id FROM dongbo.product_mappings
WHERE store = $1 AND variant_id = ANY ($2) AND retired_at IS NULL
FOR SHARE SKIP LOCKED
"""

# What this very job has pushed after a place in the plan: a batch whose outcome was lost and settled later.
PUSHED_AFTER = """
SELECT DISTINCT variant.product_id, variant.id AS variant_id, coalesce(push.location_id, 0) AS location_id
FROM dongbo.pushes AS push
CROSS JOIN LATERAL (
    SELECT id, product_id FROM dongbo.shopify_variants WHERE store = $1 AND id = push.owner_id LIMIT 1
) AS variant
WHERE push.job_id = $2 AND push.store = $1 AND push.result = 'applied' AND push.kind = ANY ($3)
  AND (variant.product_id, variant.id, coalesce(push.location_id, 0)) > ($4, $5, $6)
"""


class PlanQueries:
    """The statements of the plan that depend on what is synced, and how.

    `parameters` come after all others of each statement that knows the rules: those of stock and prices, `slipping`,
    `held_prices` and `left_alone`.
    """

    def __init__(self, settings: ProductSyncSettings, shop: Shop, *, is_narrow: bool = False) -> None:
        """`shop`: what its prices mean; `is_narrow`: about some variants, the last parameter before the rules."""

        def some(number: int, narrowed: str = SOME) -> str:
            return narrowed.format(number=number) if is_narrow else ""

        self._settings = settings
        self._rule = rule = PriceRule(settings, shop)
        self.ruling = Ruling(settings.rules)
        self.parameters = self.ruling.parameters
        of_stock = first_obstacle(
            (*OF_PAIR, *self._by_rules(SKIPPED), *of_item(settings.quantity), *self._undecided_by_rules())
        )
        of_prices = first_obstacle((*OF_PAIR, *self._by_rules(SKIPPED, HELD), *OF_SALE, *rule.conditions))
        # Of variants that share an item the first whose stock can be set stands for all.
        in_stock_window = (
            f"variant.product_id > $4 AND variant.product_id <= $5 AND {IS_PAIR} "
            f"AND twin.comes_first IS NOT TRUE AND ({of_stock}) IS NULL {some(9, SOME_OF_STOCK)}"
        )
        self.stock_window = self._stock(chosen=in_stock_window, behind=BEHIND, shown=DIFFERENCES)
        self.stock_survey = self._stock(
            chosen=in_stock_window,
            behind=BEHIND,
            shown=SURVEYED.format(sample=SAMPLE, is_risky=self._risky_stock),
            is_counted=True,
        )
        self.stock_of_variants = self._stock(
            chosen=OF_VARIANTS.format(number=4), obstacle=of_stock, behind=EVERYTHING, shown=EVERYTHING
        )
        # What is planned by now of variants that were planned before: the same rows as in their window.
        self.stock_again = self._stock(
            chosen=f"{OF_VARIANTS.format(number=4)} AND {IS_PAIR} AND twin.comes_first IS NOT TRUE "
            f"AND ({of_stock}) IS NULL",
            behind=EVERYTHING,
            shown=EVERYTHING,
        )
        in_window = (
            f"{IN_WINDOW} AND {IS_PAIR} AND ({of_prices}) IS NULL AND (variant.product_id, variant.id) > ($4, $5) "
            f"{some(6)}"
        )
        self.price_window = self._prices(chosen=in_window, shown=DIFFERENCES)
        self.price_survey = self._prices(
            chosen=in_window, shown=SURVEYED.format(sample=SAMPLE, is_risky=self._risky_price), is_counted=True
        )
        self.prices_of_variants = self._prices(
            chosen=OF_VARIANTS.format(number=2), obstacle=of_prices, shown=EVERYTHING
        )
        self.prices_again = self._prices(
            chosen=f"{OF_VARIANTS.format(number=2)} AND {IS_PAIR} AND ({of_prices}) IS NULL", shown=EVERYTHING
        )
        self.slipping = SLIPPING.format(window=self._prices(chosen=in_window, shown="price_slips OR compare_at_slips"))
        self.held_prices = numbered(
            HELD_PRICES.format(
                rules=self._rules,
                price=rule.price or "item.base_price",
                old_price=rule.amount("old_price"),
                by_vat=rule.changes_by_vat,
                compare_at_price=_compare_at(settings, otherwise="base_compare_at"),
                held=HELD_SQL,
                related=f"{RELATED} {VAT}{self._on_variants}",
                obstacle=first_obstacle((*self._by_rules(SKIPPED, HELD), *rule.conditions)),
                chosen=some(2).replace("variant.id", "variant_id"),
            )
        )
        self.has_prices = settings.price is not None or settings.compare_at_price is not None
        self.left_alone = numbered(
            LEFT_ALONE.format(
                rules=self._rules,
                ruled=self._on_variants,
                of_stock=of_stock,
                of_prices=first_obstacle((*OF_PAIR, *self._by_rules(SKIPPED, HELD), *rule.refusals))
                if self.has_prices
                else "NULL",
                chosen=some(2),
            )
        )
        self.unknown_stock = UNKNOWN_STOCK.format(chosen=some(4, SOME_OF_STOCK))
        self.unread_on_hand = UNREAD_ON_HAND.format(chosen=some(5, SOME_OF_STOCK))
        self.combos = COMBOS.format(chosen=some(4, SOME_OF_STOCK))
        self.unknown_vat = UNKNOWN_VAT.format(
            pairs=PRICED_PAIRS.format(chosen=some(5)),
            needs_vat=rule.needs_vat,
            unknown_lasts=UNKNOWN_LASTS,
            known_lasts=KNOWN_LASTS,
        )

    @property
    def rule_matches(self) -> str:
        """Counts the pairs on which each rule bears; only where there are rules."""
        statement = RULE_MATCHES.format(
            rules=RULES,
            variants=f"{VARIANTS} {VAT}{self._on_variants}",
            combo_type=COMBO,
            is_pair=IS_PAIR,
            in_range=in_range("total.stock", "stock"),
            **self._held,
        )
        return numbered(statement)

    @property
    def _rules(self) -> str:
        return RULES if self.ruling.rules else ""

    @property
    def _on_variants(self) -> str:
        if not self.ruling.rules:
            return ""
        return on_variants(self._rule.price if self.ruling.goes_by_price and self._rule.price else "NULL::numeric")

    @property
    def _held(self) -> dict[str, str]:
        """What a location's depots hold of the product of `pair`, and how many sets of a combo they make."""
        held = HELD_STOCK.format(figure=self._settings.stock_figure, product="{product}")
        return {
            "held": held.format(product="pair.nhanh_id"),
            "sets": COMBO_SETS.format(held=held.format(product="part.item_id"), combo="pair.nhanh_id"),
        }

    def _undecided_by_rules(self) -> Sequence[Condition]:
        if not self.ruling.goes_by_price or self._rule.price is None:
            return ()
        return (undecided(self._rule.price, f"product.{self._settings.price}_price"),)

    def _by_rules(self, *conditions: Condition) -> Sequence[Condition]:
        return conditions if self.ruling.rules else ()

    @property
    def _risky_stock(self) -> str:
        """Whatever `SafetyLimits` may have a person asked about."""
        return f"present > 0 AND desired = 0{self._asked}"

    @property
    def _risky_price(self) -> str:
        """As `_risky_stock`."""
        large = " OR ".join(
            large_change(old, new, self._settings.large_price_change)
            for old, new in (("price", "desired_price"), ("compare_at_price", "desired_compare_at_price"))
        )
        return f"is_by_vat OR {large}{self._asked}"

    @property
    def _asked(self) -> str:
        return " OR ask_by IS NOT NULL" if self.ruling.rules else ""

    def _stock(
        self, *, chosen: str, behind: str, shown: str, obstacle: str = ALREADY_LEFT_OUT, is_counted: bool = False
    ) -> str:
        settings, has_rules = self._settings, bool(self.ruling.rules)
        vat = f" {VAT}" if self.ruling.goes_by_price else ""
        statement = STOCK.format(
            rules=self._rules,
            variants=f"{VARIANTS}{vat}{self._on_variants}",
            ruled=", ruled.places AS rule_places, ruled.skip_by" if has_rules else "",
            obstacle=obstacle,
            combo_type=COMBO,
            **self._held,
            figure=settings.stock_figure,
            quantity=settings.quantity,
            decided="totals.*, ruled.ask_by, ruled.reserve_by, ruled.maximum_by" if has_rules else "*",
            desired=desired_stock(settings),
            on_stock=STOCK_RULING if has_rules else "",
            most=MAX_QUANTITY,
            chosen=chosen,
            behind=behind,
            planned=COUNTED.format(planned="planned", changes="differs::integer") if is_counted else "planned",
            shown=shown,
        )
        return numbered(statement)

    def _prices(self, *, chosen: str, shown: str, obstacle: str = ALREADY_LEFT_OUT, is_counted: bool = False) -> str:
        settings, rule = self._settings, self._rule
        statement = PRICES.format(
            rules=self._rules,
            variants=f"{VARIANTS} {VAT}{self._on_variants}",
            ruled=", ruled.ask_by, ruled.skip_by, ruled.hold_price_by" if self.ruling.rules else "",
            obstacle=obstacle,
            price=rule.price or "variant.price",
            quoted=f"product.{settings.price}_price" if settings.price is not None else "variant.price",
            old_price=rule.amount("old_price"),
            by_vat=rule.changes_by_vat,
            compare_at_price=_compare_at(settings, otherwise="compare_at_price"),
            price_slips=does_not_stick("price", "wanted_price", "price"),
            compare_at_slips=does_not_stick("compare_at_price", "wanted_compare_at_price", "compare_at_price"),
            chosen=chosen,
            planned=COUNTED.format(planned="compared", changes=PRICE_CHANGES) if is_counted else "compared",
            shown=shown,
        )
        return numbered(statement)


def _compare_at(settings: ProductSyncSettings, *, otherwise: str) -> str:
    """The compare-at price beside the wanted price; `otherwise`: what stays where it is not synced."""
    if settings.compare_at_price is None:
        return otherwise
    return "CASE WHEN old_price > wanted_price THEN old_price END"
