"""Situations of single goods: unusable keys, kinds that are not plain goods, odd prices and stock."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from decimal import Decimal

from daemon.sandbox.shopify.records import LevelRecord, Variant
from daemon.sandbox.staging.stage import Pair, Stage

ID_STEP = 32_768
MANY_VARIANTS = 300  # more than any page holds
SPELLING = "\u202a{}\u202c"  # as it is pasted from a spreadsheet or a chat
LEFT_OVER = 7  # what is said to be where an item is no longer stocked
FRACTION = Decimal("1333.4")
VOUCHER, BY_WEIGHT, SERVICE, COMBO = 2, 3, 6, 9  # Nhanh.vn's types of product
PLACEHOLDERS = (
    {"sku": None, "barcode": "N/A"},
    {"sku": None, "barcode": "0"},
    {"sku": "-", "barcode": None},
)


# ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def placeholder_keys(stage: Stage) -> Iterator[None]:
    with stage.goods(2 * len(PLACEHOLDERS)) as pairs:
        changes = []
        for keys, ours, theirs in zip(PLACEHOLDERS, pairs, pairs[len(PLACEHOLDERS) :], strict=False):
            changes.append(stage.variant(ours.variant, **keys))
            code = keys["sku"] or f"KHONG-MA-{theirs.nhanh_id}"
            changes.append(stage.product(theirs.nhanh_id, code=code, barcode=keys["barcode"] or ""))
        with stage.all_of(changes):
            yield


@contextmanager
def invisible_characters(stage: Stage) -> Iterator[None]:
    with (
        stage.goods(5) as pairs,
        stage.all_of(
            stage.product(pair.nhanh_id, code=SPELLING.format(stage.nhanh.products[pair.nhanh_id].code))
            for pair in pairs
        ),
    ):
        yield


@contextmanager
def archived_copy(stage: Stage) -> Iterator[None]:
    with stage.goods(1) as [pair], stage.shop_product(pair.product, status="ARCHIVED"):
        copy = stage.shopify.duplicate_product(pair.product.id)
        stage.shopify.change_status(copy.id, "ACTIVE")
        try:
            yield
        finally:
            if copy.id in stage.shopify.products:
                stage.shopify.delete_product(copy.id)


# ── Kinds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def gift_card(stage: Stage) -> Iterator[None]:
    with stage.goods(1) as [pair], stage.shop_product(pair.product, is_gift_card=True):
        yield


@contextmanager
def bundle(stage: Stage) -> Iterator[None]:
    with stage.goods(1) as [pair], stage.variant(pair.variant, requires_components=True):
        yield


@contextmanager
def subscription(stage: Stage) -> Iterator[None]:
    with stage.goods(1) as [pair], stage.shop_product(pair.product, requires_selling_plan=True):
        yield


@contextmanager
def combined_listing(stage: Stage) -> Iterator[None]:
    with stage.goods(1) as [pair], stage.shop_product(pair.product, combined_listing_role="PARENT"):
        yield


@contextmanager
def combo(stage: Stage) -> Iterator[None]:
    with stage.goods(3) as [whole, first, second]:
        parts = ((first.nhanh_id, 2), (second.nhanh_id, 1))
        with stage.product(whole.nhanh_id, type=COMBO, stock={}, combo=parts):
            yield


@contextmanager
def no_stock_kinds(stage: Stage) -> Iterator[None]:
    with (
        stage.goods(2) as [voucher, service],
        stage.product(voucher.nhanh_id, type=VOUCHER, stock={}),
        stage.product(service.nhanh_id, type=SERVICE, stock={}),
    ):
        yield


@contextmanager
def goods_by_weight(stage: Stage) -> Iterator[None]:
    depot = stage.nhanh.depots[0].id
    with (
        stage.goods(1) as [pair],
        stage.product(pair.nhanh_id, type=BY_WEIGHT, stock=_stock(stage, pair) | {depot: Decimal("2.6")}),
    ):
        yield


# ── Prices ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def fractional_prices(stage: Stage) -> Iterator[None]:
    with stage.goods(3) as pairs, stage.all_of(_dearer(stage, pair, FRACTION) for pair in pairs):
        yield


@contextmanager
def rounded_prices(stage: Stage) -> Iterator[None]:
    with (
        stage.goods(3) as pairs,
        stage.changed(stage.shopify, price_step=Decimal(1000)),
        stage.all_of(_dearer(stage, pair, Decimal(1500)) for pair in pairs),
    ):
        yield


def _dearer(stage: Stage, pair: Pair, more: Decimal) -> AbstractContextManager[None]:
    return stage.product(pair.nhanh_id, price=stage.nhanh.products[pair.nhanh_id].price + more)


# ── Stock ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def inactive_levels(stage: Stage) -> Iterator[None]:
    """Three goods: earlier quantities are known for the first two, but not for the third."""
    with stage.goods(3) as pairs, stage.unstocked(variants=[pair.variant for pair in pairs]):
        for pair in pairs[:-1]:
            for level in pair.variant.inactive_levels:
                stage.shopify.set_unconnected(pair.variant.id, level.location_id, LEFT_OVER)
        pairs[-1].variant.inactive_levels = []
        yield


@contextmanager
def adding_quantities(stage: Stage) -> Iterator[None]:
    with stage.changed(stage.shopify, adds_unconnected=True), inactive_levels(stage):
        yield


@contextmanager
def shared_stock(stage: Stage) -> Iterator[None]:
    with stage.goods(1, variants=2) as [pair]:
        owner, other = pair.product.variants[:2]
        item_id, before = other.inventory_item_id, {level.location_id: level.available for level in other.levels}
        stage.shopify.share_item(other.id, owner.id)
        try:
            yield
        finally:
            if other.id in stage.shopify.variants:
                stage.know_usual_stock(other.id, before)
                stage.shopify.part_item(other.id, item_id, _levels(stage, other))


def _levels(stage: Stage, variant: Variant) -> list[LevelRecord]:
    """What a variant has of its own where its stock is shared."""
    own = [(level, stage.usual_stock(variant.id, level.location_id)) for level in variant.levels]
    return [replace(level) if available is None else replace(level, available=available) for level, available in own]


@contextmanager
def refused_rows(stage: Stage) -> Iterator[None]:
    """Two goods whose stock differs and can't be set, among others whose stock can."""
    with (
        stage.goods(5) as pairs,
        stage.added(stage.shopify.immutable, [pair.variant.inventory_item_id for pair in pairs[:2]]),
        stage.all_of(stage.product(pair.nhanh_id, stock=_more(stage, pair)) for pair in pairs),
    ):
        yield


@contextmanager
def unnamed_refusals(stage: Stage) -> Iterator[None]:
    with stage.changed(stage.shopify, names_immutable=False), refused_rows(stage):
        yield


def _stock(stage: Stage, pair: Pair) -> dict[int, int | Decimal]:
    return stage.nhanh.products[pair.nhanh_id].stock


def _more(stage: Stage, pair: Pair) -> dict[int, int | Decimal]:
    return {depot.id: max(_stock(stage, pair).get(depot.id, 0), 0) + 7 for depot in stage.nhanh.depots}


# ── Rows and pages that can't be read ───────────────────────────────────────────────────────────────────────────────


@contextmanager
def many_variants(stage: Stage, pair: Pair) -> Iterator[None]:
    """A product of more variants than a page holds; the new ones have SKUs that Nhanh.vn does not know."""
    shop = stage.shopify
    model = pair.product.variants[-1]
    first_id, first_item = max(shop.variants) + ID_STEP, max(shop.inventory_items) + ID_STEP
    added = [_another(model, number, first_id, first_item) for number in range(MANY_VARIANTS)]
    for variant in added:
        shop.add_variant(variant)
    try:
        yield
    finally:
        for variant in added:
            if variant.id in shop.variants:
                shop.delete_variant(variant.id)


def _another(model: Variant, number: int, first_id: int, first_item: int) -> Variant:
    value = f"Mẫu {number + 1}"
    return replace(
        model,
        id=first_id + number,
        inventory_item_id=first_item + number,
        sku=f"THEM-{first_id}-{number + 1}",
        barcode=None,
        title=" / ".join([*model.option_values[:-1], value]),
        option_values=(*model.option_values[:-1], value),
        levels=[replace(level) for level in model.levels],
        inactive_levels=[],
    )
