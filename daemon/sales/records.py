"""Campaigns and their variants as the API shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from daemon.api.sales import (
    ItemState,
    Lateness,
    OpenSale,
    Overdue,
    Sale,
    SaleDetail,
    SaleEvent,
    SaleItem,
    SaleItemDetail,
    SaleWrite,
    Times,
)
from daemon.i18n import stored
from daemon.money import amount_text, amount_text_or_none
from daemon.sales.journal import RecordedWrite
from daemon.sales.model import Campaign, Item


def sale_of(campaign: Campaign, counts: Mapping[ItemState, int], now: datetime) -> Sale:
    """A campaign as its row has it; `counts` says how many of its variants are in each state."""
    return Sale(
        id=campaign.id,
        store=campaign.store,
        name=campaign.name,
        origin=campaign.origin,
        state=campaign.state,
        definition=campaign.definition.to_json(),
        starts_at=campaign.starts_at,
        ends_at=campaign.ends_at,
        is_cancelled=campaign.is_cancelled,
        notice=stored(campaign.notice),
        variants=campaign.variants,
        prepared_at=campaign.prepared_at,
        started_at=campaign.started_at,
        ended_at=campaign.ended_at,
        closed_at=campaign.closed_at,
        created_at=campaign.created_at,
        changed_at=campaign.changed_at,
        overdue=_overdue(campaign, now),
        counts={state.value: count for state, count in counts.items()},
    )


def detail_of(
    campaign: Campaign,
    counts: Mapping[ItemState, int],
    now: datetime,
    *,
    drifting: int,
    times: Times,
    events: Sequence[SaleEvent],
) -> SaleDetail:
    """A campaign and its history; `drifting` is how many variants on sale have another price than they should have."""
    return SaleDetail(
        **_members(sale_of(campaign, counts, now)),
        drifting=drifting,
        times=times,
        late=lateness_of(campaign, times),
        events=events,
    )


def open_sale_of(campaign: Campaign, now: datetime) -> OpenSale:
    """A campaign in short."""
    overdue = _overdue(campaign, now)
    return OpenSale(
        name=campaign.name,
        store=campaign.store,
        state=campaign.state,
        starts_at=campaign.starts_at,
        ends_at=campaign.ends_at,
        overdue_start_seconds=overdue.start_seconds,
        overdue_end_seconds=overdue.end_seconds,
        notice=stored(campaign.notice),
    )


def lateness_of(campaign: Campaign, times: Times) -> Lateness:
    """How late a campaign was."""
    return Lateness(
        first_on_sale_seconds=_seconds_between(campaign.starts_at, times.first_applied),
        last_on_sale_seconds=_seconds_between(campaign.starts_at, times.last_applied),
        first_restored_seconds=_seconds_between(campaign.ends_at, times.first_reverted),
        last_restored_seconds=_seconds_between(campaign.ends_at, times.last_reverted),
    )


def item_of(item: Item) -> SaleItem:
    """A variant as the journal has it."""
    sale, found = item.sale, item.found
    return SaleItem(
        variant_id=item.variant_id,
        product_id=item.product_id,
        sku=item.sku,
        title=item.title,
        state=item.state,
        before_price=amount_text(item.before.price),
        before_compare_at_price=amount_text_or_none(item.before.compare_at),
        base_price=amount_text(item.base.price),
        base_compare_at_price=amount_text_or_none(item.base.compare_at),
        sale_price=amount_text(sale.price) if sale else None,
        sale_compare_at_price=amount_text_or_none(sale.compare_at) if sale else None,
        found_price=amount_text(found.price) if found else None,
        found_compare_at_price=amount_text_or_none(found.compare_at) if found else None,
        decision=item.decision,
        note=stored(item.note),
        applied_at=item.applied_at,
        closed_at=item.closed_at,
        verified_at=item.verified_at,
    )


def item_detail_of(item: Item, writes: Sequence[RecordedWrite]) -> SaleItemDetail:
    """A variant and the writes of its prices."""
    return SaleItemDetail(**_members(item_of(item)), writes=[_write(write) for write in writes])


def _write(write: RecordedWrite) -> SaleWrite:
    return SaleWrite(
        action=write.action,
        old_price=amount_text(write.old.price),
        old_compare_at_price=amount_text_or_none(write.old.compare_at),
        new_price=amount_text(write.new.price),
        new_compare_at_price=amount_text_or_none(write.new.compare_at),
        result=write.result,
        detail=stored(write.detail),
        intended_at=write.intended_at,
        settled_at=write.settled_at,
        job_id=write.job_id,
    )


def _overdue(campaign: Campaign, now: datetime) -> Overdue:
    return Overdue(round(campaign.overdue_start(now), 3), round(campaign.overdue_end(now), 3))


def _seconds_between(planned: datetime | None, actual: datetime | None) -> float | None:
    if planned is None or actual is None:
        return None
    return round((actual - planned).total_seconds(), 3)


def _members(record: Sale | SaleItem) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}
