"""What stock and which prices a mapped variant should have at Shopify: stated once, as SQL.

The fragments refer to `variant` (of Shopify), to what `VARIANTS` joins to it, and to the store as $1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.config import ProductSyncSettings
from daemon.i18n import mark
from daemon.mirror.shops import Shop
from daemon.money import VND
from daemon.sync.products.obstacles import (
    BY_KIND,
    NO_STOCK,
    Condition,
    Obstacle,
    by_variant,
    by_vat,
    first_obstacle,
)

# What the configuration calls Nhanh.vn's figures and prices, in words.
STOCK_FIGURES = {"available": mark("available"), "remain": mark("remain")}
PRICES = {"retail": mark("retail price"), "wholesale": mark("wholesale price")}

PRODUCT_COLUMNS = """id, code, type, retail_price, wholesale_price, old_price, stock_known, price_vat_mode,
            source_updated_at, deleted_at"""

# Beside a variant and its mapping: its product at Shopify, and who else shares its stock. One whose own stock can't be
# set does not come first, or no stock would be pushed.
RELATED = f"""
    LEFT JOIN LATERAL (
        SELECT is_gift_card, is_subscription, is_combined_parent FROM dongbo.shopify_products
        WHERE store = $1 AND id = variant.product_id LIMIT 1
    ) AS owner ON true
    LEFT JOIN LATERAL (
        SELECT bool_or(other.nhanh_id <> mapping.nhanh_id) AS differs,
            bool_or(other.nhanh_id = mapping.nhanh_id
                AND (sibling.product_id, sibling.id) < (variant.product_id, variant.id)
                AND ({first_obstacle(by_variant("sibling"))}) IS NULL) AS comes_first
        FROM dongbo.shopify_variants AS sibling
        JOIN dongbo.product_mappings AS other
            ON other.store = sibling.store AND other.variant_id = sibling.id AND other.retired_at IS NULL
        WHERE sibling.store = $1 AND sibling.inventory_item_id = variant.inventory_item_id
          AND sibling.id <> variant.id AND sibling.deleted_at IS NULL
    ) AS twin ON true
"""

# What product/detail has said of a product that has not changed since.
VAT = """
    LEFT JOIN LATERAL (
        SELECT rate, true AS is_read FROM dongbo.nhanh_vat
        WHERE store = $1 AND product_id = product.id
          AND product_updated_at IS NOT DISTINCT FROM product.source_updated_at
    ) AS vat ON true
"""

# Variants with what each is mapped to; rows that are not there are NULL. Both sides are looked up by their keys: a join
# might be planned as if there were one row, for PostgreSQL knows no better of a table that has just been filled.
VARIANTS = f"""
    FROM dongbo.shopify_variants AS variant
    LEFT JOIN LATERAL (
        SELECT id, nhanh_id, source FROM dongbo.product_mappings
        WHERE store = $1 AND variant_id = variant.id AND retired_at IS NULL LIMIT 1
    ) AS mapping ON true
    LEFT JOIN LATERAL (
        SELECT {PRODUCT_COLUMNS} FROM dongbo.nhanh_products WHERE store = $1 AND id = mapping.nhanh_id LIMIT 1
    ) AS product ON true
    {RELATED}
"""

DEFAULT_SHOP = Shop(VND, taxes_included=True)


@dataclass(frozen=True, slots=True)
class PriceRule:
    """How Nhanh.vn's prices become the shop's: with VAT where the shop's include it, as exact as its currency is.

    A customer shall pay the same at both. Nhanh.vn documentation, product/list: with `priceVatMode` 1 a price includes
    VAT, with 2, the default, the customer pays VAT on top of it.
    """

    settings: ProductSyncSettings
    shop: Shop

    @property
    def unlike(self) -> int:
        """The mode of prices that differ from the shop's by VAT."""
        return 2 if self.shop.taxes_included else 1

    @property
    def needs_vat(self) -> str:
        """Whether the price of a product differs from the shop's by VAT."""
        column = f"{self.settings.price}_price" if self.settings.price is not None else "old_price"
        return f"(coalesce(product.{column}, 0) > 0 AND product.price_vat_mode <> {3 - self.unlike})"

    @property
    def changes_by_vat(self) -> str:
        """Whether the price that a customer pays is another figure than Nhanh.vn's price."""
        return f"(product.price_vat_mode = {self.unlike} AND vat.rate <> 0)"

    @property
    def refusals(self) -> Sequence[Condition]:
        """Why a mapped variant gets no prices though Nhanh.vn may have some."""
        return (*BY_KIND, *by_vat(self.needs_vat))

    @property
    def conditions(self) -> Sequence[Condition]:
        """Why a mapped variant gets no prices. Without a price, there is nothing for the old price to exceed."""
        if self.price is None:
            return self.refusals
        return (*self.refusals, (Obstacle.NO_PRICE, f"({self.price} > 0) IS NOT TRUE"))

    @property
    def price(self) -> str | None:
        """The price that a variant should have; None where prices are not synced."""
        return None if self.settings.price is None else self.amount(f"{self.settings.price}_price")

    def amount(self, column: str) -> str:
        """A price of the product as the shop's customers pay it; NULL where it can't be known."""
        price = f"product.{column}"
        converted = f"{price} * (100 + vat.rate) / 100" if self.unlike == 2 else f"{price} * 100 / (100 + vat.rate)"
        return (
            f"round(CASE product.price_vat_mode WHEN {3 - self.unlike} THEN {price} WHEN {self.unlike} THEN {converted}"
            f" END, {self.shop.currency.digits})"
        )


def desired_stock(settings: ProductSyncSettings) -> str:
    """What a location should have of its `total`: its share, without what is held back, and no more than the maximum.

    A rule that has something to say of the latter two stands beside the total as `reserve_by` and `maximum_by`.
    """
    shares = "".join(f" WHEN {location} THEN {share}" for location, share in settings.share_of.items())
    share = f"total * CASE location_id{shares} ELSE 100 END / 100" if shares else "total"
    reserve, maximum = str(settings.reserve), "NULL" if settings.maximum is None else str(settings.maximum)
    if settings.rules:
        reserve, maximum = f"coalesce(reserve_by[2], {reserve})", f"coalesce(maximum_by[2], {maximum})"
    left = f"floor({share})" if reserve == "0" else f"floor({share}) - {reserve}"
    return f"greatest({left}, 0)" if maximum == "NULL" else f"greatest({left}, 0), {maximum}"


def does_not_stick(kind: str, wanted: str, present: str) -> str:
    """Whether Shopify has made the present value of the wanted one twice: the last two pushes of it came to nothing."""
    return f"""(
        SELECT count(*) = 2 AND bool_and(new_value::numeric IS NOT DISTINCT FROM {wanted}
            AND nullif(made_value, '')::numeric IS NOT DISTINCT FROM {present} AND made_value IS NOT NULL)
        FROM (
            SELECT new_value, made_value FROM dongbo.pushes AS push
            WHERE push.store = $1 AND push.owner_id = variant_id AND push.kind = '{kind}' AND push.result = 'applied'
            ORDER BY id DESC LIMIT 2
        ) AS last
    )"""


# How many whole sets of a combo a location's depots make; `{held}` is the sum of a component's stock in them.
COMBO_SETS = f"""
    SELECT min(floor(greatest(({{held}}), 0) / part.quantity)) FROM dongbo.nhanh_combo_items AS part
    JOIN dongbo.nhanh_products AS component ON component.store = part.store AND component.id = part.item_id
    WHERE part.store = $1 AND part.combo_id = {{combo}} AND coalesce(component.type, 1) NOT IN {NO_STOCK}
"""
