"""Explains one variant: how it is mapped, and each value that a sync would set, as the plan decides about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from decimal import Decimal

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
from daemon.api.sales import WriteAction
from daemon.config import ProductSyncSettings
from daemon.i18n import gettext as _
from daemon.i18n import mark, ngettext
from daemon.money import amount_text, amount_text_or_none
from daemon.sources.shopify.models import QuantityName
from daemon.sync.explanation.evidence import Evidence
from daemon.sync.explanation.obstacle_words import ObstacleWords
from daemon.sync.explanation.verdicts import NOTHING, Facts, Present, SetBySale, Wanted, verdict
from daemon.sync.matching.variant_mappings import VariantMapping, describe
from daemon.sync.products.obstacles import Obstacle
from daemon.sync.products.planned_values import PlannedAmount, PlannedPrices, PlannedStock
from daemon.sync.products.reconciliation import quantity_of
from daemon.sync.products.rules import PRICES
from daemon.sync.products.ruling import ON_PRICES, ON_STOCK, AppliedRule, names, stock_terms, with_terms, words
from daemon.sync.pushes import RecordedPush

NOT_STOCKED = mark("It is not stocked at {where}")

# How to speak of a quantity at a place, and of one that is not known.
_SUBJECTS: dict[QuantityName, tuple[str, str]] = {
    "available": (mark("available at {where}"), NOT_STOCKED),
    "on_hand": (mark("on hand at {where}"), mark("What is on hand at {where} is not known yet")),
}

MAY_BE_NONE = (PushKind.COMPARE_AT_PRICE,)
BY_RULES = (Obstacle.BY_RULE, Obstacle.PRICE_BY_RULE)


@dataclass(frozen=True, slots=True)
class Place:
    """The location of a stock value, with the depots that make it up; a price has none."""

    location_id: int | None = None
    name: str | None = None
    depots: Sequence[ExplainedDepot] = ()


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
        self._words = ObstacleWords(
            variant, self._mapping, self._product, found.holders.get(variant["id"]), settings, zone
        )

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

    # ── Stock ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _stock(self) -> Iterator[ExplainedValue]:
        levels = self._found.levels.get(self._variant["id"], {})
        configured = self._settings.depots_of if self._settings is not None else {}
        for location_id in sorted({*configured, *levels}):
            yield self._stock_at(location_id, levels.get(location_id))

    def _stock_at(self, location_id: int, level: Record | None) -> ExplainedValue:
        planned = self._found.planned.stock.get((self._variant["id"], location_id))
        place = self._place(location_id, planned)
        return self._value(
            PushKind.STOCK,
            self._present_stock(location_id, place, level),
            self._wanted_stock(planned, place),
            self._stock_obstacle(place, planned),
            place,
            total=amount_text_or_none(planned.total) if planned is not None else None,
            applied=planned.applied if planned is not None else (),
            planned_obstacle=planned.obstacle if planned is not None else None,
        )

    def _wanted_stock(self, planned: PlannedStock | None, place: Place) -> Wanted:
        if planned is None or planned.total is None or planned.desired is None or self._settings is None:
            return Wanted(None, None, "", is_right=False)
        applied = [rule for rule in planned.applied if rule.effect in ON_STOCK]
        terms = stock_terms(self._settings, place.location_id or 0, applied)
        basis = (
            _combo_basis(place.depots, planned.total)
            if planned.is_combo
            else _stock_basis(place.depots, planned, is_whole=not terms)
        )
        return Wanted(
            value=str(planned.desired),
            since=max(filter(None, (depot.changed_at for depot in place.depots)), default=None),
            basis=with_terms(basis, terms),
            is_right=not planned.differs,
        )

    def _present_stock(self, location_id: int, place: Place, level: Record | None) -> Present:
        where = _called(location_id, place.name) if place.name else _("location {id}").format(id=location_id)
        has, lacks = _SUBJECTS[self._quantity]
        is_stocked = level is not None and level["deleted_at"] is None
        value = level[self._quantity] if level is not None and is_stocked else None
        return Present(
            subject=_(has).format(where=where),
            absence=_(lacks if is_stocked else NOT_STOCKED).format(where=where),
            value=None if value is None else str(value),
            since=level["changed_at"] if level is not None else None,
        )

    @property
    def _quantity(self) -> QuantityName:
        return self._settings.quantity if self._settings is not None else "available"

    def _place(self, location_id: int, planned: PlannedStock | None) -> Place:
        location = self._found.locations.get(location_id)
        depots = self._settings.depots_of.get(location_id, ()) if self._settings is not None else ()
        figures = planned.figures if planned is not None else ()
        # Where there is no product, there are no figures either.
        explained = [self._depot(depot, figure) for depot, figure in zip(depots, figures, strict=False)]
        return Place(location_id, location["name"] if location is not None else None, explained)

    def _depot(self, depot_id: int, quantity: Decimal) -> ExplainedDepot:
        product_id, depot = self._mapping.nhanh_id, self._found.depots.get(depot_id)
        return ExplainedDepot(
            id=depot_id,
            name=depot["name"] if depot is not None else None,
            is_visible=depot is not None and depot["hidden_at"] is None,
            quantity=amount_text(quantity),
            changed_at=self._found.stock_changed_at.get((product_id, depot_id)) if product_id is not None else None,
        )

    def _stock_obstacle(self, place: Place, planned: PlannedStock | None) -> str | None:
        """What the plan says; else what a sync would find out about the location before it plans."""
        if self._settings is None:
            is_gone = self._variant["deleted_at"] is not None
            return self._words.say(Obstacle.VARIANT_DELETED if is_gone else Obstacle.NOT_CONFIGURED)
        if planned is None:
            return self._words.say(Obstacle.LOCATION_NOT_CONFIGURED)
        if planned.obstacle is not None:
            return self._words.say(planned.obstacle, applied=planned.applied)
        hidden = [depot.id for depot in place.depots if not depot.is_visible]
        if hidden:
            return self._words.say(Obstacle.DEPOT_HIDDEN, hidden_depots=hidden)
        location = self._found.locations.get(place.location_id or 0)
        if location is not None and not location["is_active"]:
            return self._words.say(Obstacle.LOCATION_INACTIVE)
        return None

    # ── Prices ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _prices(self) -> Iterator[ExplainedValue]:
        settings, planned = self._settings, self._found.planned.prices.get(self._variant["id"])
        if settings is None or planned is None:
            return
        if settings.price is not None:
            basis = _price_basis(settings.price, planned)
            yield self._price(PushKind.PRICE, _("price"), planned.price, basis, planned.applied)
        if settings.compare_at_price is not None:
            basis = _old_price_basis(planned)
            what = _("compare-at price")
            yield self._price(PushKind.COMPARE_AT_PRICE, what, planned.compare_at_price, basis, planned.applied)

    def _price(
        self, kind: PushKind, what: str, planned: PlannedAmount, basis: str, applied: Sequence[AppliedRule]
    ) -> ExplainedValue:
        holder = self._found.holders.get(self._variant["id"])
        return self._value(
            kind,
            Present(
                subject=_("as {what}").format(what=what),
                absence=_("Shopify has no {what}").format(what=what),
                value=amount_text_or_none(self._variant[str(kind)]),
                since=self._variant["changed_at"],
            ),
            Wanted(
                value=amount_text_or_none(planned.desired),
                since=self._product["changed_at"] if self._product is not None else None,
                basis=with_terms(basis, [words(rule) for rule in applied if rule.effect in ON_PRICES]),
                is_right=not planned.differs,
            ),
            None if planned.obstacle is None else self._words.say(planned.obstacle, applied=applied),
            applied=applied,
            planned_obstacle=planned.obstacle,
            sale=holder.name if holder is not None and planned.obstacle is Obstacle.ON_SALE else None,
        )

    def _set_by_sale(self, kind: PushKind) -> SetBySale | None:
        """What a sale has last set of this value."""
        write = self._found.sale_writes.get(self._variant["id"])
        if write is None or kind not in (PushKind.PRICE, PushKind.COMPARE_AT_PRICE):
            return None
        amount = write.new.price if kind is PushKind.PRICE else write.new.compare_at
        return SetBySale(
            sale=write.sale,
            is_restored=write.action is WriteAction.REVERT,
            value=amount_text_or_none(amount),
            at=write.at,
        )

    # ── Any value ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _value(
        self,
        kind: PushKind,
        present: Present,
        wanted: Wanted,
        obstacle: str | None,
        place: Place = Place(),
        total: str | None = None,
        sale: str | None = None,
        applied: Sequence[AppliedRule] = (),
        planned_obstacle: Obstacle | None = None,
    ) -> ExplainedValue:
        key = (kind, self._variant["id"], place.location_id or 0)
        pushed = self._found.pushes.get(key, [])
        waiting = self._found.waiting_sync if obstacle is None and not wanted.is_right else None
        mapped_at = self._mapping.changed_at
        facts = Facts(
            present=present,
            wanted=replace(wanted, since=max(filter(None, (wanted.since, mapped_at)), default=None)),
            obstacle=obstacle,
            sale=self._set_by_sale(kind),
            approval=waiting,
            is_asked=key in self._found.asked,
            last_sync=self._found.last_sync,
            pushes=[push for push in pushed if self._is_about_value(push)],
        )
        return ExplainedValue(
            kind=kind,
            quantity=self._quantity if kind is PushKind.STOCK else None,
            location_id=place.location_id,
            location_name=place.name,
            depots=place.depots,
            sum=total,
            desired=wanted.value,
            shopify=present.value,
            shopify_changed_at=present.since,
            equal=wanted.is_right if self._is_comparable(kind, wanted) else None,
            sale=sale,
            obstacle=obstacle,
            approval_job_id=waiting.job_id if waiting is not None else None,
            pushes=[_explained_push(push) for push in pushed],
            verdict=verdict(facts, self._zone),
            rule=names(applied),
            is_left_to_rule=planned_obstacle in BY_RULES,
        )

    def _is_about_value(self, recorded: RecordedPush) -> bool:
        """Whether the push was not of another quantity, which was synced before."""
        return recorded.push.kind is not PushKind.STOCK or quantity_of(recorded.push) == self._quantity

    def _is_comparable(self, kind: PushKind, wanted: Wanted) -> bool:
        """Whether Nhanh.vn says what the value should be; to have no compare-at price is something to say."""
        return self._product is not None and bool(wanted.basis) and (wanted.value is not None or kind in MAY_BE_NONE)

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
            retail_price=amount_text_or_none(product["retail_price"]),
            wholesale_price=amount_text_or_none(product["wholesale_price"]),
            old_price=amount_text_or_none(product["old_price"]),
            changed_at=product["changed_at"],
            deleted_at=product["deleted_at"],
        )


def _stock_basis(depots: Sequence[ExplainedDepot], planned: PlannedStock, *, is_whole: bool) -> str:
    """Such as "Nhanh.vn has 4 + 3 in depots Kho A (1) and Kho B (2)"; `is_whole`: all of it goes to the location."""
    names = [_called(depot.id, depot.name) for depot in depots]
    where = (
        _("depots {others} and {last}").format(others=", ".join(names[:-1]), last=names[-1])
        if len(names) > 1
        else _("depot {name}").format(name="".join(names))
    )
    quantity = " + ".join(depot.quantity for depot in depots)
    if planned.total == planned.desired or not is_whole:
        return _("Nhanh.vn has {quantity} in {where}").format(quantity=quantity, where=where)
    return _("Nhanh.vn has {quantity} in {where}, and Shopify takes whole pieces from 0 on").format(
        quantity=quantity, where=where
    )


def _combo_basis(depots: Sequence[ExplainedDepot], sets: Decimal) -> str:
    """Such as "it is a combo whose components make 3 sets in depots 1, 2"."""
    return ngettext(
        "it is a combo whose components make {sets} sets in depot {depots}",
        "it is a combo whose components make {sets} sets in depots {depots}",
        len(depots),
    ).format(sets=amount_text(sets), depots=", ".join(_called(depot.id, depot.name) for depot in depots))


def _price_basis(price: str, planned: PlannedPrices) -> str:
    """Such as "Nhanh.vn has the retail price 100000, 110000 as the shop's customers pay it"."""
    quoted, desired = planned.quoted, planned.price.desired
    if quoted is None or desired is None or round(quoted, 2) == desired:
        return _("Nhanh.vn has the {price} {desired}").format(
            price=_(PRICES[price]), desired=amount_text_or_none(desired) or _(NOTHING)
        )
    return _("Nhanh.vn has the {price} {quoted}, {desired} as the shop's customers pay it").format(
        price=_(PRICES[price]), quoted=amount_text(quoted), desired=amount_text(desired)
    )


def _old_price_basis(planned: PlannedPrices) -> str:
    """Such as "Nhanh.vn has the old price 90000, which is not above 100000"."""
    old = planned.old_price
    if old is None:
        return _("Nhanh.vn has no old price")
    if planned.compare_at_price.desired is not None:
        return _("Nhanh.vn has the old price {old}").format(old=amount_text(old))
    return _("Nhanh.vn has the old price {old}, which is not above {price}").format(
        old=amount_text(old), price=amount_text_or_none(planned.price.desired)
    )


def _called(number: int, name: str | None) -> str:
    return f"{name} ({number})" if name else str(number)


def _explained_push(recorded: RecordedPush) -> ExplainedPush:
    return ExplainedPush(
        id=recorded.id,
        kind=recorded.push.kind,
        name=recorded.push.name,
        job_id=recorded.job_id,
        old_value=recorded.push.old_value,
        new_value=recorded.push.new_value,
        reason=recorded.push.reason,
        rule=recorded.push.rule,
        result=recorded.result,
        detail=recorded.detail,
        intended_at=recorded.intended_at,
        settled_at=recorded.settled_at,
    )
