"""Why something of a variant is not pushed: every reason, with the condition on which it holds and what to tell people.

Each condition is stated once, as SQL. The plan leaves out whatever an obstacle keeps back, a sync counts the obstacles,
and an explanation names them. The conditions refer to `variant` (of Shopify), `owner` (its product there), `mapping`,
`product` (of Nhanh.vn), `vat` and `twin`, as `daemon.sync.products.rules` joins them, and to the store as $1.
"""

from collections.abc import Iterable
from enum import StrEnum

from daemon.i18n import mark
from daemon.sales.model import HELD_SQL
from daemon.sources.shopify.models import QuantityName

COMBO = 9  # Nhanh.vn documentation, product/list: types
NO_STOCK = "(2, 6)"  # vouchers and services


class Obstacle(StrEnum):
    """What keeps a value from being pushed."""

    # The whole variant.
    VARIANT_DELETED = "variant_deleted"
    NOT_CONFIGURED = "not_configured"  # the store syncs no products
    UNMAPPED = "unmapped"
    EXCLUDED = "excluded"
    PRODUCT_DELETED = "product_deleted"  # or not pulled yet
    BY_RULE = "by_rule"
    # Its stock.
    NOT_PULLED_YET = "not_pulled_yet"
    UNTRACKED = "untracked"
    BUNDLE = "bundle"
    NO_STOCK = "no_stock"
    COMBO = "combo"
    STOCK_UNKNOWN = "stock_unknown"
    SHARED_ITEM = "shared_item"
    FULFILMENT_SERVICE = "fulfilment_service"
    ON_HAND_NOT_READ_YET = "on_hand_not_read_yet"
    RULE_WITHOUT_PRICE = "rule_without_price"
    # Its stock at one location.
    LOCATION_NOT_CONFIGURED = "location_not_configured"
    DEPOT_HIDDEN = "depot_hidden"
    LOCATION_INACTIVE = "location_inactive"
    # Its prices.
    ON_SALE = "on_sale"
    PRICE_BY_RULE = "price_by_rule"
    GIFT_CARD = "gift_card"
    BUNDLE_PRICE = "bundle_price"
    SUBSCRIPTION = "subscription"
    COMBINED_LISTING = "combined_listing"
    VAT_NOT_READ_YET = "vat_not_read_yet"
    VAT_UNKNOWN = "vat_unknown"
    NO_PRICE = "no_price"
    DOES_NOT_STICK = "does_not_stick"


# An obstacle with the SQL condition on which it holds; of several the first that holds is named.
Condition = tuple[Obstacle, str]

# A combo has no stock of its own: as many sets as its components make, if the stock of all of them is known. Vouchers
# and services among them limit nothing; a combo within a combo can't be resolved for certain.
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

# Items of fulfilment services are kept at locations that are not the shop's own; stocking them here as well would take
# them away from there.
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

IS_ON_SALE = f"""EXISTS (
    SELECT FROM dongbo.sale_items WHERE store = $1 AND variant_id = variant.id AND state IN {HELD_SQL}
)"""

# Why there is nothing at Nhanh.vn to push, neither stock nor price.
OF_PAIR: tuple[Condition, ...] = (
    (Obstacle.VARIANT_DELETED, "variant.deleted_at IS NOT NULL"),
    (Obstacle.UNMAPPED, "mapping.id IS NULL"),
    (Obstacle.EXCLUDED, "mapping.nhanh_id IS NULL"),
    (Obstacle.PRODUCT_DELETED, "product.id IS NULL OR product.deleted_at IS NOT NULL"),
)


def by_variant(variant: str) -> tuple[Condition, ...]:
    """Why Shopify has no stock of a variant to set, whatever it is mapped to; `variant` is its name in SQL."""
    return (
        (
            Obstacle.NOT_PULLED_YET,
            f"{variant}.tracked IS NULL OR {variant}.tracked AND {variant}.inventory_item_id IS NULL",
        ),
        (Obstacle.UNTRACKED, f"NOT {variant}.tracked"),
        (Obstacle.BUNDLE, f"{variant}.is_bundle"),
    )


OF_ITEM: tuple[Condition, ...] = (
    *by_variant("variant"),
    (Obstacle.NO_STOCK, f"product.type IN {NO_STOCK}"),
    (Obstacle.COMBO, f"product.type = {COMBO} AND NOT {COMBO_IS_KNOWN}"),
    (Obstacle.STOCK_UNKNOWN, f"product.type IS DISTINCT FROM {COMBO} AND NOT product.stock_known"),
    (Obstacle.SHARED_ITEM, "twin.differs"),
    (Obstacle.FULFILMENT_SERVICE, IS_KEPT_BY_SERVICE),
)

# Before Shopify was asked for what is on hand, only what was available is known. An item is read with all its levels.
HAS_UNREAD_ON_HAND = """EXISTS (
    SELECT FROM dongbo.shopify_inventory_levels AS level
    WHERE level.store = $1 AND level.inventory_item_id = variant.inventory_item_id AND level.deleted_at IS NULL
      AND level.on_hand IS NULL
)"""


def of_item(quantity: QuantityName) -> tuple[Condition, ...]:
    """Why a mapped variant gets no stock where this quantity of Shopify is synced."""
    if quantity == "available":
        return OF_ITEM
    return (*OF_ITEM, (Obstacle.ON_HAND_NOT_READ_YET, HAS_UNREAD_ON_HAND))


# A sale's prices are not ours to set.
OF_SALE: tuple[Condition, ...] = ((Obstacle.ON_SALE, IS_ON_SALE),)

# What a person has mapped by hand is named one by one: it gets the price that Nhanh.vn gives, whatever it is.
BY_KIND: tuple[Condition, ...] = (
    (Obstacle.GIFT_CARD, "mapping.source <> 'manual' AND owner.is_gift_card"),
    (Obstacle.BUNDLE_PRICE, "mapping.source <> 'manual' AND variant.is_bundle"),
    (Obstacle.SUBSCRIPTION, "mapping.source <> 'manual' AND owner.is_subscription"),
    (Obstacle.COMBINED_LISTING, "mapping.source <> 'manual' AND owner.is_combined_parent"),
)


def by_vat(needs_vat: str) -> tuple[Condition, ...]:
    """What keeps back a price that differs from the shop's by VAT; `needs_vat` says in SQL whether it does.

    Where that is not known either, the price is kept back as well.
    """
    may_need = f"{needs_vat} IS NOT FALSE"
    return (
        (Obstacle.VAT_NOT_READ_YET, f"{may_need} AND vat.is_read IS NULL AND product.price_vat_mode IN (1, 2)"),
        (Obstacle.VAT_UNKNOWN, f"{may_need} AND (vat.rate IS NULL OR product.price_vat_mode NOT IN (1, 2))"),
    )


def first_obstacle(conditions: Iterable[Condition]) -> str:
    """The first obstacle whose condition holds, as an SQL expression; NULL where nothing is in the way."""
    arms = "\n".join(f"        WHEN {condition} THEN '{obstacle}'" for obstacle, condition in conditions)
    return f"CASE\n{arms}\n    END"


# Many variants of any shop have one of these: they are counted without examples.
COMMON = frozenset(
    {
        Obstacle.UNMAPPED,
        Obstacle.EXCLUDED,
        Obstacle.PRODUCT_DELETED,
        Obstacle.NOT_PULLED_YET,
        Obstacle.ON_HAND_NOT_READ_YET,
        Obstacle.UNTRACKED,
    }
)

# In words, to follow "Not pushed:". What depends on the variant or the configuration is put into words where it is
# explained.
TEXTS = {
    Obstacle.NOT_PULLED_YET: mark("its stock at Shopify has not been pulled yet: dongbo pull shopify-products --full"),
    Obstacle.UNTRACKED: mark("Shopify does not track the stock of this variant"),
    Obstacle.BUNDLE: mark("it is a bundle in Shopify, whose stock is that of its components"),
    Obstacle.NO_STOCK: mark("Nhanh.vn keeps no stock of it: it is a voucher or a service"),
    Obstacle.COMBO: (
        mark(
            "it is a combo at Nhanh.vn, and its components or their stock are not known: dongbo pull "
            "nhanh-products --full"
        )
    ),
    Obstacle.STOCK_UNKNOWN: mark("Nhanh.vn has not reported its stock yet: dongbo pull nhanh-inventory --full"),
    Obstacle.SHARED_ITEM: (
        mark(
            "another variant shares its stock at Shopify but is mapped to another product of Nhanh.vn: map both "
            "to the same one, or exclude one of them (dongbo map exclude)"
        )
    ),
    Obstacle.FULFILMENT_SERVICE: mark("its stock is kept by a fulfilment service, not at a location of the shop"),
    Obstacle.ON_HAND_NOT_READ_YET: (
        mark(
            "what is on hand at Shopify has not been read yet: each sync reads some of it, and "
            "dongbo pull shopify-products --full reads all"
        )
    ),
    Obstacle.RULE_WITHOUT_PRICE: mark(
        "a rule goes by its price, which can't be told before its VAT is known: see what keeps the price back"
    ),
    Obstacle.LOCATION_INACTIVE: mark("the location is not active at Shopify"),
    Obstacle.GIFT_CARD: (
        mark(
            "it is a gift card, which costs its face value: map it by hand (dongbo map set) if it should have "
            "Nhanh.vn's price"
        )
    ),
    Obstacle.BUNDLE_PRICE: (
        mark(
            "it is a bundle in Shopify, and the app that makes bundles sets its price: map it by hand (dongbo "
            "map set) if it should have Nhanh.vn's price"
        )
    ),
    Obstacle.SUBSCRIPTION: (
        mark(
            "it is sold by subscription only, and the plan sets its price: map it by hand (dongbo map set) if it "
            "should have Nhanh.vn's price"
        )
    ),
    Obstacle.COMBINED_LISTING: mark("it is the parent of a combined listing, which has no price of its own"),
    Obstacle.VAT_NOT_READ_YET: (
        mark(
            "Nhanh.vn's price and the shop's differ by VAT, and the VAT of this product has not been read yet: "
            "the next sync tries to, for which the access token of Nhanh.vn needs the permission product/detail"
        )
    ),
    Obstacle.VAT_UNKNOWN: (
        mark(
            "Nhanh.vn's price and the shop's differ by VAT, and Nhanh.vn does not say which VAT applies to this "
            "product: enter it there"
        )
    ),
    Obstacle.DOES_NOT_STICK: (
        mark("Shopify has changed this value to another one twice; it is left alone until Nhanh.vn's value changes")
    ),
}
