"""What of a mapped variant is pushed, and why not where it is not: stated once, as SQL.

The plan, its figures and the explanations all read these fragments. They refer to `variant` (of Shopify), `owner` (its
product there), `mapping`, `product` (of Nhanh.vn), `vat` and `twin`, as `RELATED` and `AROUND` join them, and to the
store as $1.
"""

from dataclasses import dataclass

from daemon.config import ProductSyncSettings
from daemon.mirror.shops import Shop
from daemon.money import VND

COMBO = 9  # Nhanh.vn documentation, product/list: types
NO_STOCK = "(2, 6)"  # vouchers and services

# Beside a variant and its mapping: what is its product at Shopify, and who else is sold out of its stock.
RELATED = """
    LEFT JOIN LATERAL (
        SELECT is_gift_card, is_subscription, is_combined_parent FROM dongbo.shopify_products
        WHERE store = $1 AND id = variant.product_id LIMIT 1
    ) AS owner ON true
    LEFT JOIN LATERAL (
        SELECT bool_or(other.nhanh_id <> mapping.nhanh_id) AS differs,
            bool_or(other.nhanh_id = mapping.nhanh_id
                AND (sibling.product_id, sibling.id) < (variant.product_id, variant.id)) AS comes_first
        FROM dongbo.shopify_variants AS sibling
        JOIN dongbo.product_mappings AS other
            ON other.store = sibling.store AND other.variant_id = sibling.id AND other.retired_at IS NULL
        WHERE sibling.store = $1 AND sibling.inventory_item_id = variant.inventory_item_id
          AND sibling.id <> variant.id AND sibling.deleted_at IS NULL
    ) AS twin ON true
"""

# What product/detail told of a product that has not changed since.
VAT = """
    LEFT JOIN LATERAL (
        SELECT rate, true AS is_read FROM dongbo.nhanh_vat
        WHERE store = $1 AND product_id = product.id
          AND product_updated_at IS NOT DISTINCT FROM product.source_updated_at
    ) AS vat ON true
"""

PRODUCT_COLUMNS = """id, code, type, retail_price, wholesale_price, old_price, stock_known, price_vat_mode,
            source_updated_at"""

# A combo has no stock of its own: as many sets as its components make, if the stock of all of them is known. Vouchers
# and services among them limit nothing; a combo within a combo is beyond what can be told for certain.
COMBO_IS_KNOWN = f"""(
    EXISTS (
        SELECT FROM dongbo.nhanh_combo_items AS part
        JOIN dongbo.nhanh_products AS component ON component.store = part.store AND component.id = part.item_id
        WHERE part.store = $1 AND part.combo_id = product.id AND coalesce(component.type, 1) NOT IN {NO_STOCK}
    ) AND NOT EXISTS (
        SELECT FROM dongbo.nhanh_combo_items AS part
        LEFT JOIN dongbo.nhanh_products AS component
            ON component.store = part.store AND component.id = part.item_id AND component.deleted_at IS NULL
        WHERE part.store = $1 AND part.combo_id = product.id AND (
            component.id IS NULL OR component.type = {COMBO}
            OR coalesce(component.type, 1) NOT IN {NO_STOCK} AND NOT component.stock_known
        )
    )
)"""

# Items of fulfilment services are kept at locations that are not the shop's own; to stock them here, too, would take
# them away there.
IS_KEPT_BY_SERVICE = """(
    EXISTS (SELECT FROM dongbo.shopify_locations WHERE store = $1)
    AND EXISTS (
        SELECT FROM dongbo.shopify_inventory_levels AS level
        WHERE level.store = $1 AND level.inventory_item_id = variant.inventory_item_id AND level.deleted_at IS NULL
    ) AND NOT EXISTS (
        SELECT FROM dongbo.shopify_inventory_levels AS level
        JOIN dongbo.shopify_locations AS place ON place.store = level.store AND place.id = level.location_id
        WHERE level.store = $1 AND level.inventory_item_id = variant.inventory_item_id AND level.deleted_at IS NULL
    )
)"""

# Why a variant gets no stock though Shopify counts it and Nhanh.vn has its product; NULL where it gets it.
STOCK_REASON = f"""CASE
        WHEN variant.is_bundle THEN 'bundle'
        WHEN product.type IN {NO_STOCK} THEN 'no_stock'
        WHEN product.type = {COMBO} AND NOT {COMBO_IS_KNOWN} THEN 'combo'
        WHEN product.type IS DISTINCT FROM {COMBO} AND NOT product.stock_known THEN 'stock_unknown'
        WHEN twin.differs THEN 'shared_item'
        WHEN {IS_KEPT_BY_SERVICE} THEN 'fulfilment_service'
    END"""

# What a person has mapped by hand is named one by one: it gets the price that Nhanh.vn says, whatever it is.
PRICE_REASON = """CASE
        WHEN mapping.source <> 'manual' AND owner.is_gift_card THEN 'gift_card'
        WHEN mapping.source <> 'manual' AND variant.is_bundle THEN 'bundle_price'
        WHEN mapping.source <> 'manual' AND owner.is_subscription THEN 'subscription'
        WHEN mapping.source <> 'manual' AND owner.is_combined_parent THEN 'combined_listing'
        WHEN NOT {needs_vat} THEN NULL
        WHEN vat.is_read IS NULL AND product.price_vat_mode IN (1, 2) THEN 'vat_not_read_yet'
        WHEN vat.rate IS NULL OR product.price_vat_mode NOT IN (1, 2) THEN 'vat_unknown'
    END"""

TEXTS = {
    "bundle": "it is a bundle at Shopify, whose stock is that of its components",
    "no_stock": "Nhanh.vn keeps no stock of it: it is a voucher or a service",
    "combo": (
        "it is a combo at Nhanh.vn, and what it is made of, or the stock of that, is not known: dongbo pull "
        "nhanh-products --full"
    ),
    "stock_unknown": "Nhanh.vn has not told its stock yet: dongbo pull nhanh-inventory --full",
    "shared_item": (
        "another variant is sold out of the same stock at Shopify and mapped to another product of Nhanh.vn: map both "
        "to the same one, or exclude one of them (dongbo map exclude)"
    ),
    "fulfilment_service": "its stock is kept by a fulfilment service, and not at a location of the shop",
    "gift_card": (
        "it is a gift card, which costs what is written on it: map it by hand (dongbo map set) if Nhanh.vn's price "
        "should be its own"
    ),
    "bundle_price": (
        "it is a bundle at Shopify, whose price belongs to the app that makes bundles: map it by hand (dongbo map set) "
        "if Nhanh.vn's price should be its own"
    ),
    "subscription": (
        "it is sold by subscription only, and the plan makes its price: map it by hand (dongbo map set) if Nhanh.vn's "
        "price should be its own"
    ),
    "combined_listing": "it is the parent of a combined listing, which has no price of its own",
    "vat_not_read_yet": (
        "Nhanh.vn's price and the shop's differ by VAT, and that of this product has not been read yet: the next sync "
        "tries to, for which the access token of Nhanh.vn needs the permission product/detail"
    ),
    "vat_unknown": (
        "Nhanh.vn's price and the shop's differ by VAT, and Nhanh.vn does not say which VAT this product has: fill it "
        "in there"
    ),
    "does_not_stick": (
        "Shopify has twice made something else of this value; it is left alone until Nhanh.vn's value changes"
    ),
}

DEFAULT_SHOP = Shop(VND, taxes_included=True)


@dataclass(frozen=True, slots=True)
class PriceRule:
    """How Nhanh.vn's prices become the shop's: with VAT where the shop's hold it, as exact as its currency is.

    A customer shall pay the same at both. Nhanh.vn documentation, product/list: with `priceVatMode` 1 a price holds
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
    def reason(self) -> str:
        """Why a variant gets no prices; NULL where it does."""
        return PRICE_REASON.format(needs_vat=self.needs_vat)

    def amount(self, column: str) -> str:
        """A price of the product as the shop's customers pay it; NULL where it can't be known."""
        price = f"product.{column}"
        converted = f"{price} * (100 + vat.rate) / 100" if self.unlike == 2 else f"{price} * 100 / (100 + vat.rate)"
        return (
            f"round(CASE product.price_vat_mode WHEN {3 - self.unlike} THEN {price} WHEN {self.unlike} THEN {converted}"
            f" END, {self.shop.currency.digits})"
        )


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
