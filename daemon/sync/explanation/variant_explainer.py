"""Explains one variant: how it is mapped, and each value that a sync would set, by the rules of the plan."""

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from decimal import ROUND_FLOOR, Decimal

from asyncpg import Record

from daemon.api.explanation import (
    ExplainedDepot,
    ExplainedMapping,
    ExplainedProduct,
    ExplainedPush,
    ExplainedValue,
    ExplainedVariant,
)
from daemon.api.mappings import MappingState
from daemon.api.pushes import PushKind
from daemon.api.sales import CampaignState, WriteAction
from daemon.config import ProductSyncSettings
from daemon.sources.shopify.models import PricePair
from daemon.sync.explanation.evidence import Evidence
from daemon.sync.explanation.verdicts import NOTHING, Facts, SetBySale, moment, verdict
from daemon.sync.matching.variant_mappings import VariantMapping, describe
from daemon.sync.products.plan import MAX_QUANTITY
from daemon.sync.products.rows import plain
from daemon.sync.products.rules import COMBO, TEXTS
from daemon.sync.pushes import RecordedPush

SECTION = "[stores.….product_sync]"


class VariantExplainer:
    """One variant in the light of the evidence.

    Args:
        settings: what of the products is synced; None where nothing is.
        zone: of the times in sentences.
        variant: a row that `evidence.find_variants` has found.
    """

    def __init__(self, found: Evidence, settings: ProductSyncSettings | None, zone: tzinfo, variant: Record) -> None:
        self._found = found
        self._settings = settings
        self._zone = zone
        self._variant = variant
        self._mapping: VariantMapping = found.mappings[variant["id"]]
        self._product: Record | None = None
        if self._mapping.state is MappingState.MAPPED and self._mapping.nhanh_id is not None:
            self._product = found.products.get(self._mapping.nhanh_id)

    def explain(self) -> ExplainedVariant:
        """The variant with all its values."""
        variant = self._variant
        return ExplainedVariant(
            variant_id=variant["id"],
            product_id=variant["product_id"],
            inventory_item_id=variant["inventory_item_id"],
            title=variant["title"],
            sku=variant["sku"],
            barcode=variant["barcode"],
            tracked=variant["tracked"],
            deleted_at=variant["deleted_at"],
            mapping=self._explained_mapping(),
            product=self._explained_product(),
            values=[*self._stock(), *self._prices()],
        )

    def _stock(self) -> Iterator[ExplainedValue]:
        levels = self._found.levels.get(self._variant["id"], {})
        depots_of = self._settings.depots_of if self._settings is not None else {}
        for location_id in sorted({*depots_of, *levels}):
            depots = [self._depot(depot_id) for depot_id in depots_of.get(location_id, ())]
            yield self._stock_at(location_id, depots, levels.get(location_id))

    def _stock_at(self, location_id: int, depots: Sequence[ExplainedDepot], level: Record | None) -> ExplainedValue:
        obstacle = self._stock_obstacle(location_id, depots)
        total, is_combo = self._total(location_id, depots)
        desired = str(desired_stock(total)) if depots and self._product is not None else None
        is_stocked = level is not None and level["deleted_at"] is None
        present = str(level["available"]) if level is not None and is_stocked else None
        name = self._found.locations[location_id]["name"] if location_id in self._found.locations else None
        place = _called(location_id, name) if name else f"location {location_id}"
        return self._value(
            PushKind.STOCK,
            f"at {place}",
            f"It is not stocked at {place}",
            present,
            level["changed_at"] if level is not None else None,
            desired,
            max(filter(None, (depot.changed_at for depot in depots)), default=None),
            _combo_basis(depots, total) if is_combo else _stock_basis(depots, total, desired),
            obstacle,
            # What is not stocked at a location and should not be there is right as it is.
            is_right=desired is not None and (present or "0") == desired,
            location_id=location_id,
            location_name=name,
            depots=depots if self._product is not None else (),
            total=plain(total) if desired is not None else None,
        )

    def _total(self, location_id: int, depots: Sequence[ExplainedDepot]) -> tuple[Decimal, bool]:
        """What there is at a location, and whether that is sets of a combo."""
        if self._product is not None and self._product["type"] == COMBO:
            return self._found.sets.get((self._product["id"], location_id), Decimal(0)), True
        return sum((Decimal(depot.quantity) for depot in depots), Decimal(0)), False

    def _depot(self, depot_id: int) -> ExplainedDepot:
        product_id, depot = self._mapping.nhanh_id, self._found.depots.get(depot_id)
        stock = self._found.stock.get((product_id, depot_id)) if product_id is not None else None
        figure = self._settings.stock_figure if self._settings is not None else "available"
        return ExplainedDepot(
            id=depot_id,
            name=depot["name"] if depot is not None else None,
            is_visible=depot is not None and depot["hidden_at"] is None,
            quantity=plain(stock[figure]) if stock is not None else "0",
            changed_at=stock["changed_at"] if stock is not None else None,
        )

    def _stock_obstacle(self, location_id: int, depots: Sequence[ExplainedDepot]) -> str | None:
        """Why the stock at a location is not pushed."""
        if self._settings is not None and location_id not in self._settings.depots_of:
            return f"{SECTION} does not name this location, so its stock is left alone"
        if (reason := self._obstacle()) is not None:
            return reason
        tracked, place = self._variant["tracked"], self._found.locations.get(location_id)
        hidden = [depot.id for depot in depots if not depot.is_visible]
        if tracked is None or (tracked and self._variant["inventory_item_id"] is None):
            return "its stock at Shopify has not been pulled yet: dongbo pull shopify-products --full"
        if not tracked:
            return "Shopify does not track the stock of this variant"
        if (ruling := self._ruling) is not None and ruling["stock_reason"] is not None:
            return TEXTS[ruling["stock_reason"]]
        if hidden:
            return f"the access token of Nhanh.vn can't see depot {', '.join(map(str, hidden))}, or was not asked yet"
        if place is not None and not place["is_active"]:
            return "the location is not active at Shopify"
        return None

    def _prices(self) -> Iterator[ExplainedValue]:
        settings = self._settings
        if settings is None:
            return
        price: Decimal | None = self._variant["price"]
        obstacle = self._obstacle() or self._sale_obstacle() or self._price_obstacle()
        if settings.price is not None:
            price = self._ruled("desired_price")
            if obstacle is None and not price:
                obstacle = f"Nhanh.vn has no {settings.price} price for it, so its prices are left alone"
        if settings.price is not None:
            basis = self._price_basis(settings.price, price)
            yield self._price(PushKind.PRICE, "price", "price", price, basis, obstacle or self._slip("price_slips"))
        if settings.compare_at_price is not None:
            old = self._ruled("desired_old_price")
            desired = old if old is not None and price is not None and old > price else None
            basis = f"Nhanh.vn has {'no old price' if old is None else f'the old price {plain(old)}'}"
            basis += f", which is not above {_amount(price)}" if old is not None and desired is None else ""
            column, obstacle = "compare_at_price", obstacle or self._slip("compare_at_slips")
            yield self._price(PushKind.COMPARE_AT_PRICE, "compare-at price", column, desired, basis, obstacle)

    def _price(
        self, kind: PushKind, what: str, column: str, desired: Decimal | None, basis: str, obstacle: str | None
    ) -> ExplainedValue:
        present, since = self._variant[column], self._variant["changed_at"]
        changed_at = self._product["changed_at"] if self._product is not None else None
        return self._value(
            kind,
            f"as {what}",
            f"Shopify has no {what}",
            None if present is None else plain(present),
            since,
            None if desired is None else plain(desired),
            changed_at,
            basis,
            obstacle,
            is_right=present == desired,
        )

    @property
    def _ruling(self) -> Record | None:
        """What the plan says of the variant; None where it is not mapped."""
        return self._found.rulings.get(self._variant["id"])

    def _ruled(self, column: str) -> Decimal | None:
        """A price of the product as the shop's customers pay it."""
        return self._ruling[column] if self._ruling is not None and self._product is not None else None

    def _slip(self, column: str) -> str | None:
        """That Shopify makes something else of the value, where it does."""
        return TEXTS["does_not_stick"] if self._ruling is not None and self._ruling[column] else None

    def _price_obstacle(self) -> str | None:
        """Why prices of such a variant are not pushed."""
        ruling = self._ruling
        return TEXTS[ruling["price_reason"]] if ruling is not None and ruling["price_reason"] is not None else None

    def _price_basis(self, price: str, desired: Decimal | None) -> str:
        """Such as "Nhanh.vn has the retail price 100000, 110000 as the shop's customers pay it"."""
        quoted: Decimal | None = self._product[f"{price}_price"] if self._product is not None else None
        if quoted is None or desired is None or round(quoted, 2) == desired:
            return f"Nhanh.vn has the {price} price {_amount(desired) or NOTHING}"
        return f"Nhanh.vn has the {price} price {plain(quoted)}, {plain(desired)} as the shop's customers pay it"

    def _set_by_sale(self, kind: PushKind) -> SetBySale | None:
        """What a sale has last set of this value."""
        write = self._found.sale_writes.get(self._variant["id"])
        if write is None or kind not in (PushKind.PRICE, PushKind.COMPARE_AT_PRICE):
            return None
        amount = write.new.price if kind is PushKind.PRICE else write.new.compare_at
        return SetBySale(
            sale=write.sale,
            is_restored=write.action is WriteAction.REVERT,
            value=None if amount is None else plain(amount),
            at=write.at,
        )

    def _sale_obstacle(self) -> str | None:
        """The sale that has the variant's prices."""
        holder = self._found.holders.get(self._variant["id"])
        if holder is None:
            return None
        if holder.state is CampaignState.NEEDS_ATTENTION:
            return (
                f"the sale {holder.name} is over, and a person must decide about the price that it has found, or could "
                f"not restore: dongbo sale resume {holder.name}. Restored, it goes back to {_both(holder.base)}"
            )
        until = (
            f"until {moment(holder.ends_at, self._zone)}" if holder.ends_at is not None else "until a person ends it"
        )
        return f"the sale {holder.name} has its prices {until}; then the price goes back to {_both(holder.base)}"

    def _obstacle(self) -> str | None:
        """Why nothing of the variant is pushed."""
        variant, product = self._variant, self._product
        if variant["deleted_at"] is not None:
            return f"the variant is gone from Shopify, noticed {moment(variant['deleted_at'], self._zone)}"
        if self._settings is None:
            return f"the configuration has no {SECTION} for this store"
        if self._mapping.state is not MappingState.MAPPED:
            return describe(self._mapping, self._zone)
        if product is None:
            return "its product at Nhanh.vn has not been pulled: dongbo pull nhanh-products --full"
        if product["deleted_at"] is not None:
            return f"its product is gone from Nhanh.vn, noticed {moment(product['deleted_at'], self._zone)}"
        return None

    def _value(
        self,
        kind: PushKind,
        subject: str,
        absence: str,
        present: str | None,
        present_since: datetime | None,
        desired: str | None,
        desired_since: datetime | None,
        basis: str,
        obstacle: str | None,
        *,
        is_right: bool,
        location_id: int | None = None,
        location_name: str | None = None,
        depots: Sequence[ExplainedDepot] = (),
        total: str | None = None,
    ) -> ExplainedValue:
        key = (kind, self._variant["id"], location_id or 0)
        pushed = self._found.pushes.get(key, [])
        waiting = self._found.waiting_sync if obstacle is None and not is_right else None
        facts = Facts(
            subject=subject,
            absence=absence,
            present=present,
            present_since=present_since,
            desired=desired,
            desired_since=max(filter(None, (desired_since, self._mapping.changed_at)), default=None),
            is_right=is_right,
            basis=basis,
            obstacle=obstacle,
            sale=self._set_by_sale(kind),
            approval=waiting,
            is_asked=key in self._found.asked,
            last_sync=self._found.last_sync,
            pushes=pushed,
        )
        return ExplainedValue(
            kind=kind,
            location_id=location_id,
            location_name=location_name,
            depots=depots,
            sum=total,
            desired=desired,
            shopify=present,
            shopify_changed_at=present_since,
            obstacle=obstacle,
            approval_job_id=waiting.job_id if waiting is not None else None,
            pushes=[_explained_push(push) for push in pushed],
            verdict=verdict(facts, self._zone),
        )

    def _explained_mapping(self) -> ExplainedMapping:
        mapping = self._mapping
        return ExplainedMapping(
            state=mapping.state,
            source=mapping.source,
            nhanh_id=mapping.nhanh_id,
            since=mapping.changed_at,
            note=mapping.note,
            candidates=mapping.candidates,
            text=describe(self._mapping, self._zone),
        )

    def _explained_product(self) -> ExplainedProduct | None:
        product = self._product
        if product is None:
            return None
        return ExplainedProduct(
            id=product["id"],
            code=product["code"],
            barcode=product["barcode"],
            name=product["name"],
            retail_price=_amount(product["retail_price"]),
            wholesale_price=_amount(product["wholesale_price"]),
            old_price=_amount(product["old_price"]),
            changed_at=product["changed_at"],
            deleted_at=product["deleted_at"],
        )


def desired_stock(total: Decimal) -> int:
    """What of the depots' sum Shopify gets: whole pieces, from none to the most that it takes."""
    return min(max(int(total.to_integral_value(ROUND_FLOOR)), 0), MAX_QUANTITY)


def _stock_basis(depots: Sequence[ExplainedDepot], total: Decimal, desired: str | None) -> str:
    """Such as "Nhanh.vn has 4 + 3 in depots Kho A (1) and Kho B (2)"."""
    names = [_called(depot.id, depot.name) for depot in depots]
    where = f"depots {', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else f"depot {''.join(names)}"
    text = f"Nhanh.vn has {' + '.join(depot.quantity for depot in depots)} in {where}"
    if desired is not None and plain(total) != desired:
        text += ", and Shopify takes whole pieces from 0 on"
    return text


def _combo_basis(depots: Sequence[ExplainedDepot], sets: Decimal) -> str:
    """Such as "it is a combo whose components make 3 sets in depots 1, 2"."""
    where = f"depot{'s' if len(depots) > 1 else ''} {', '.join(_called(depot.id, depot.name) for depot in depots)}"
    return f"it is a combo whose components make {plain(sets)} sets in {where}"


def _called(number: int, name: str | None) -> str:
    return f"{name} ({number})" if name else str(number)


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


def _explained_push(recorded: RecordedPush) -> ExplainedPush:
    return ExplainedPush(
        id=recorded.id,
        kind=recorded.push.kind,
        job_id=recorded.job_id,
        old_value=recorded.push.old_value,
        new_value=recorded.push.new_value,
        reason=recorded.push.reason,
        result=recorded.result,
        detail=recorded.detail,
        intended_at=recorded.intended_at,
        settled_at=recorded.settled_at,
    )


def _both(prices: PricePair) -> str:
    compare_at = "" if prices.compare_at is None else f" (compare-at price {plain(prices.compare_at)})"
    return plain(prices.price) + compare_at
