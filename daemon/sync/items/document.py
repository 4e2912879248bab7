"""One item for people: the verdict, the stock of each location and the prices on both sides, the mapping, what is next.

It is made of what `daemon.sync.explanation` says of a variant: nothing is judged here a second time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

from daemon.api.explanation import ExplainedFreshness, ExplainedProduct, ExplainedValue, ExplainedVariant
from daemon.api.items import Item, ItemMapping, ItemMappingState, ItemPlace, ItemPrice, ItemReading, ItemVariant
from daemon.api.mappings import MappingState, ProductChoice
from daemon.api.pushes import PushKind
from daemon.config import ProductSyncSettings
from daemon.database.pool import Connection
from daemon.i18n import gettext as _
from daemon.i18n import moment
from daemon.ids import StoreName
from daemon.jobs.actions import SubjectKind
from daemon.mirror import watermarks
from daemon.mirror.search_texts import searching
from daemon.sync.deeds import list_deeds
from daemon.sync.explanation import evidence
from daemon.sync.explanation.explain import explained
from daemon.sync.items import candidates, readings
from daemon.sync.items.verdict import differs, is_configured, item_verdict, sentence

PRICES = {PushKind.PRICE, PushKind.COMPARE_AT_PRICE}
OPEN = (MappingState.UNMATCHED, MappingState.AMBIGUOUS, MappingState.RETIRED)  # a person may choose


class ItemWriter:
    """Writes the document of an item.

    Args:
        settings: what of the products is synced; None where nothing is.
        zone: of the times in sentences.
        next_sync: when the next sync is due by the schedules; None where none is.
    """

    def __init__(
        self,
        connection: Connection,
        store: StoreName,
        settings: ProductSyncSettings | None,
        zone: tzinfo,
        next_sync: datetime | None,
    ) -> None:
        self._connection = connection
        self._store = store
        self._settings = settings
        self._zone = zone
        self._next_sync = next_sync

    async def write(self, variant_id: int, read: Sequence[ItemReading] = ()) -> Item | None:
        """The item; None where no such variant is mirrored. `read`: the readings just made for it."""
        async with searching(self._connection):  # one snapshot for all that is shown together
            variants = await explained(
                self._connection, self._store, self._settings, self._zone, [variant_id], with_pushes=True
            )
            if not variants:
                return None
            (variant,) = variants
            complete = await evidence.list_watermarks(self._connection, self._store)
            seen_at_nhanh, seen_at_shopify = await self._seen(variant_id, complete)
            choices = await self._choices(variant)
            deeds = await list_deeds(self._connection, self._store, SubjectKind.VARIANT, variant_id)
        return Item(
            store=self._store,
            variant=_variant(variant),
            product=variant.product,
            verdict=item_verdict(variant, self._settings, self._zone, _older(seen_at_nhanh, seen_at_shopify)),
            places=[
                self._place(value, seen_at_nhanh, seen_at_shopify)
                for value in variant.values
                if value.kind is PushKind.STOCK
            ],
            prices=[
                self._price(value, variant.product, seen_at_nhanh, seen_at_shopify)
                for value in variant.values
                if value.kind in PRICES
            ],
            mapping=_mapping(variant, choices),
            next=self._next(variant),
            actions=deeds,
            freshness=[ExplainedFreshness(stream, complete.get(stream)) for stream in evidence.STREAMS],
            readings=read,
        )

    async def _seen(self, variant_id: int, complete: Mapping[str, datetime]) -> tuple[datetime | None, datetime | None]:
        """As of when both sides are known: by a complete pull, or because somebody had the item read."""
        products = await watermarks.get(self._connection, self._store, "nhanh_products")
        last_read = await readings.last(self._connection, self._store, variant_id)
        full_pull_at = products.full_pull_at if products is not None else None
        return (
            _latest(complete.get("nhanh_inventory"), full_pull_at, last_read.nhanh),
            _latest(complete.get("shopify_products"), last_read.shopify),
        )

    async def _choices(self, variant: ExplainedVariant) -> Sequence[ProductChoice]:
        mapping = variant.mapping
        if mapping.state not in OPEN:
            return ()
        by_key = await candidates.choices(self._connection, self._store, {variant.variant_id: mapping.candidates})
        found = by_key[variant.variant_id]
        return found or await candidates.by_name(self._connection, self._store, variant.title)

    def _place(
        self, value: ExplainedValue, seen_at_nhanh: datetime | None, seen_at_shopify: datetime | None
    ) -> ItemPlace:
        return ItemPlace(
            location_id=value.location_id or 0,
            location_name=value.location_name,
            quantity=value.quantity or "available",
            nhanh=value.sum,
            shopify=value.shopify,
            should_be=value.desired,
            equal=value.equal,
            seen_at_nhanh=seen_at_nhanh if value.sum is not None else None,
            seen_at_shopify=_latest(seen_at_shopify, value.shopify_changed_at),
            is_configured=is_configured(value, self._settings),
            text=value.verdict,
        )

    def _price(
        self,
        value: ExplainedValue,
        product: ExplainedProduct | None,
        seen_at_nhanh: datetime | None,
        seen_at_shopify: datetime | None,
    ) -> ItemPrice:
        return ItemPrice(
            kind=value.kind,
            nhanh=self._quoted(value.kind, product),
            shopify=value.shopify,
            should_be=value.desired,
            equal=value.equal,
            seen_at_nhanh=seen_at_nhanh if product is not None else None,
            seen_at_shopify=_latest(seen_at_shopify, value.shopify_changed_at),
            sale=value.sale,
            text=value.verdict,
        )

    def _quoted(self, kind: PushKind, product: ExplainedProduct | None) -> str | None:
        """The amount as Nhanh.vn has it."""
        if product is None or self._settings is None:
            return None
        if kind is PushKind.COMPARE_AT_PRICE:
            return product.old_price
        return product.retail_price if self._settings.price == "retail" else product.wholesale_price

    def _next(self, variant: ExplainedVariant) -> list[str]:
        """What would happen, value by value, and when."""
        values = [value for value in variant.values if is_configured(value, self._settings)]
        said = [_change(value) for value in values if differs(value)]
        if said:
            said.append(self._when(is_waiting=any(value.approval_job_id is not None for value in values)))
        elif any(value.obstacle is not None for value in values):
            said += dict.fromkeys(sentence(value.obstacle) for value in values if value.obstacle is not None)
        elif values:
            said.append(_("Nothing: the next sync finds nothing to do."))
        return said

    def _when(self, *, is_waiting: bool) -> str:
        if is_waiting:
            return _("Nothing is pushed before a person has decided about the approval that is asked for.")
        if self._next_sync is None:
            return _("No schedule syncs the products of this store: start a sync.")
        return _("The next sync is due at {time}.").format(time=moment(self._next_sync, self._zone))


def _change(value: ExplainedValue) -> str:
    desired, present = value.desired or _("nothing"), value.shopify or _("nothing")
    if value.kind is PushKind.STOCK:
        where = value.location_name or str(value.location_id)
        return _("Stock at {where}: {present} → {desired}").format(where=where, present=present, desired=desired)
    if value.kind is PushKind.PRICE:
        return _("Price: {present} → {desired}").format(present=present, desired=desired)
    return _("Compare-at price: {present} → {desired}").format(present=present, desired=desired)


def _variant(variant: ExplainedVariant) -> ItemVariant:
    return ItemVariant(
        variant_id=variant.variant_id,
        product_id=variant.product_id,
        inventory_item_id=variant.inventory_item_id,
        title=variant.title,
        sku=variant.sku,
        barcode=variant.barcode,
        tracked=variant.tracked,
        deleted_at=variant.deleted_at,
    )


def _mapping(variant: ExplainedVariant, choices: Sequence[ProductChoice]) -> ItemMapping:
    mapping, product = variant.mapping, variant.product
    return ItemMapping(
        state=ItemMappingState(mapping.state),
        source=mapping.source,
        nhanh_id=mapping.nhanh_id,
        code=product.code if product is not None else None,
        name=product.name if product is not None else None,
        since=mapping.since,
        note=mapping.note,
        candidates=choices,
        text=sentence(mapping.text),
    )


def _older(one: datetime | None, other: datetime | None) -> datetime | None:
    """Since both are known; None where one is not."""
    return min(one, other) if one is not None and other is not None else None


def _latest(*times: datetime | None) -> datetime | None:
    known = [time for time in times if time is not None and time.timestamp() > 0]  # a migration sets some back
    return max(known, default=None)
