"""All SQL of the plan: what Shopify should say of variants, beside what the mirror says that it says.

What a variant should have and what is in the way is one statement for stock and one for prices. Over a window of
products it finds the differences to push; for single variants it says what the plan decides about them.
"""

from daemon.config import ProductSyncSettings
from daemon.mirror.shops import Shop
from daemon.sales.model import HELD_SQL
from daemon.sync.products.obstacles import (
    COMBO,
    NO_STOCK,
    OF_PAIR,
    OF_SALE,
    OF_STOCK,
    first_obstacle,
)
from daemon.sync.products.rules import COMBO_SETS, RELATED, VARIANTS, VAT, PriceRule, does_not_stick

NAMED = 5  # variants of each reason for which they are left alone
MAX_QUANTITY = 1_000_000_000  # Shopify documentation, inventorySetQuantities: the most that an item may have

NEXT_WINDOW = """
SELECT product_id FROM dongbo.shopify_variants WHERE store = $1 AND product_id > $2
ORDER BY product_id OFFSET $3 LIMIT 1
"""

# A live pair is a variant and the product that it is mapped to, neither of which is deleted.
IS_PAIR = "variant.deleted_at IS NULL AND product.id IS NOT NULL AND product.deleted_at IS NULL"
IN_WINDOW = "variant.product_id > $2 AND variant.product_id <= $3"
PAIRS = f"{VARIANTS} WHERE variant.store = $1 AND {IN_WINDOW} AND {IS_PAIR}"
PRICED_PAIRS = f"{VARIANTS} {VAT} WHERE variant.store = $1 AND {IN_WINDOW} AND {IS_PAIR}"

# What a location's depots hold of a product. One that a product with known stock does not list holds nothing.
HELD_STOCK = """
            SELECT coalesce(sum(held.{figure}), 0) FROM depot JOIN dongbo.nhanh_inventory AS held
                ON held.store = $1 AND held.product_id = {product} AND held.depot_id = depot.id
            WHERE depot.location_id = location.id AND held.deleted_at IS NULL
"""

# What is not stocked at a location and should not be there is right as it is.
STOCK = """
WITH depot AS MATERIALIZED (
    SELECT * FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS depot (location_id, id, place)
), pair AS MATERIALIZED (
    SELECT variant.product_id, variant.id AS variant_id, variant.inventory_item_id AS item_id, variant.sku,
        product.id AS nhanh_id, product.code, product.type IS NOT DISTINCT FROM {combo_type} AS is_combo,
        {obstacle} AS obstacle
    {variants}
    WHERE variant.store = $1 AND {chosen}
), totals AS MATERIALIZED (
    SELECT pair.*, location.id AS location_id, (
        SELECT available FROM dongbo.shopify_inventory_levels
        WHERE store = $1 AND inventory_item_id = pair.item_id AND location_id = location.id AND deleted_at IS NULL
    ) AS present,
    CASE WHEN is_combo THEN ({sets}) ELSE ({held}) END AS total
    FROM pair CROSS JOIN (SELECT DISTINCT location_id AS id FROM depot) AS location
    WHERE {behind}
), compared AS (
    SELECT *, least(greatest(floor(total), 0), {most})::bigint AS desired FROM totals
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
FROM planned WHERE {shown}
ORDER BY place
"""

# A value that Shopify has twice changed to another one is not a difference.
PRICES = """
WITH pair AS (
    SELECT variant.product_id, variant.id AS variant_id, variant.sku, variant.price, variant.compare_at_price,
        product.id AS nhanh_id, product.code, {old_price} AS old_price, {price} AS wanted_price,
        {by_vat} IS TRUE AS is_by_vat, {quoted} AS quoted_price, {obstacle} AS obstacle
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
SELECT * FROM compared WHERE {shown} ORDER BY place
"""

# The last row of a window always comes, to tell how many there are.
DIFFERENCES = "differs OR place = population"
EVERYTHING = "true"
ALREADY_LEFT_OUT = "NULL::text"  # the obstacle of rows that were chosen for having none
OF_VARIANTS = "variant.id = ANY (${number})"

SLIPPING = """
SELECT coalesce(nullif(sku, ''), variant_id::text) AS name FROM (
    {window}
) AS found ORDER BY variant_id
"""

# What the mapped variants that a sale holds should go back to; what is not synced stays as the sale has found it.
HELD_PRICES = """
WITH pair AS (
    SELECT variant.id AS variant_id, variant.sku, product.id AS nhanh_id, product.code, {old_price} AS old_price,
        item.base_price, item.base_compare_at, {price} AS wanted_price, {by_vat} IS TRUE AS is_by_vat
    FROM (SELECT store, variant_id, base_price, base_compare_at FROM dongbo.sale_items
          WHERE store = $1 AND state IN {held}) AS item
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
WHERE variant.store = $1 AND {IN_WINDOW} AND {IS_PAIR} AND product.type = {COMBO}
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
WITH judged AS MATERIALIZED (
    SELECT variant.id, variant.sku, {first_obstacle(OF_STOCK)} AS stock, {{of_prices}} AS price
    {VARIANTS} {VAT}
    WHERE variant.store = $1 AND variant.deleted_at IS NULL
)
SELECT reason, count(*) AS variants,
    (array_agg(coalesce(nullif(sku, ''), id::text) ORDER BY id))[1:{NAMED}] AS examples
FROM judged CROSS JOIN LATERAL unnest(ARRAY[stock, nullif(price, stock)]) AS reason
WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason
"""

MAPPED = """
SELECT variant_id, nhanh_id FROM dongbo.product_mappings
WHERE store = $1 AND variant_id = ANY ($2) AND retired_at IS NULL
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
    """The statements of the plan that depend on what is synced, and how."""

    def __init__(self, settings: ProductSyncSettings, shop: Shop) -> None:
        """`shop`: what its prices mean."""
        rule = PriceRule(settings, shop)
        of_prices = first_obstacle((*OF_PAIR, *OF_SALE, *rule.conditions))
        self.stock_window = _stock(
            settings,
            # Of variants that share an item the first whose stock can be set stands for all.
            chosen=f"variant.product_id > $4 AND variant.product_id <= $5 AND {IS_PAIR} "
            f"AND twin.comes_first IS NOT TRUE AND ({first_obstacle(OF_STOCK)}) IS NULL",
            behind="(pair.product_id, pair.variant_id, location.id) > ($6, $7, $8)",
            shown=DIFFERENCES,
        )
        self.stock_of_variants = _stock(
            settings,
            chosen=OF_VARIANTS.format(number=4),
            obstacle=first_obstacle(OF_STOCK),
            behind=EVERYTHING,
            shown=EVERYTHING,
        )
        in_window = (
            f"{IN_WINDOW} AND {IS_PAIR} AND ({of_prices}) IS NULL AND (variant.product_id, variant.id) > ($4, $5)"
        )
        self.price_window = _prices(rule, chosen=in_window, shown=DIFFERENCES)
        self.prices_of_variants = _prices(
            rule, chosen=OF_VARIANTS.format(number=2), obstacle=of_prices, shown=EVERYTHING
        )
        self.slipping = SLIPPING.format(window=_prices(rule, chosen=in_window, shown="price_slips OR compare_at_slips"))
        self.held_prices = HELD_PRICES.format(
            price=rule.price or "item.base_price",
            old_price=rule.amount("old_price"),
            by_vat=rule.changes_by_vat,
            compare_at_price=_compare_at(settings, otherwise="base_compare_at"),
            held=HELD_SQL,
            related=f"{RELATED} {VAT}",
            obstacle=first_obstacle(rule.conditions),
        )
        self.has_prices = settings.price is not None or settings.compare_at_price is not None
        self.left_alone = LEFT_ALONE.format(
            of_prices=first_obstacle((*OF_PAIR, *rule.refusals)) if self.has_prices else "NULL"
        )
        self.unknown_vat = UNKNOWN_VAT.format(
            pairs=PRICED_PAIRS, needs_vat=rule.needs_vat, unknown_lasts=UNKNOWN_LASTS, known_lasts=KNOWN_LASTS
        )


def _stock(
    settings: ProductSyncSettings, *, chosen: str, behind: str, shown: str, obstacle: str = ALREADY_LEFT_OUT
) -> str:
    figure = settings.stock_figure
    return STOCK.format(
        variants=VARIANTS,
        obstacle=obstacle,
        combo_type=COMBO,
        held=HELD_STOCK.format(figure=figure, product="pair.nhanh_id"),
        sets=COMBO_SETS.format(held=HELD_STOCK.format(figure=figure, product="part.item_id"), combo="pair.nhanh_id"),
        figure=figure,
        most=MAX_QUANTITY,
        chosen=chosen,
        behind=behind,
        shown=shown,
    )


def _prices(rule: PriceRule, *, chosen: str, shown: str, obstacle: str = ALREADY_LEFT_OUT) -> str:
    settings = rule.settings
    return PRICES.format(
        variants=f"{VARIANTS} {VAT}",
        obstacle=obstacle,
        price=rule.price or "variant.price",
        quoted=f"product.{settings.price}_price" if settings.price is not None else "variant.price",
        old_price=rule.amount("old_price"),
        by_vat=rule.changes_by_vat,
        compare_at_price=_compare_at(settings, otherwise="compare_at_price"),
        price_slips=does_not_stick("price", "wanted_price", "price"),
        compare_at_slips=does_not_stick("compare_at_price", "wanted_compare_at_price", "compare_at_price"),
        chosen=chosen,
        shown=shown,
    )


def _compare_at(settings: ProductSyncSettings, *, otherwise: str) -> str:
    """The compare-at price beside the wanted price; `otherwise`: what stays where it is not synced."""
    if settings.compare_at_price is None:
        return otherwise
    return "CASE WHEN old_price > wanted_price THEN old_price END"
