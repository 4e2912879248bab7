"""Campaigns as a table and as one, and their variants."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from rich.text import Text

from daemon.api.sales import Sale, SaleDetail, SaleItem, SaleItemDetail
from daemon.cli.render import output, values
from daemon.cli.render.output import plain
from daemon.cli.sales import wording
from daemon.cli.sales.wording import prices

SHOWN_EVENTS = 10


def write_list(campaigns: Sequence[Sale], zone: tzinfo) -> None:
    """Campaigns as a table."""
    output.write_table(
        ("name", "store", "state", "starts", "ends", "variants", "note"),
        [_row(campaign, zone) for campaign in campaigns],
        numbers=("variants",),
    )


def write_one(campaign: SaleDetail, drifted: Sequence[SaleItem], zone: tzinfo) -> None:
    """All there is to know about one campaign; `drifted` are variants that a person must decide about."""
    times, late = campaign.times, campaign.late
    definition = campaign.definition
    output.write_fields(
        {
            "sale": campaign.name,
            "id": str(campaign.id),
            "store": campaign.store,
            "state": state_text(campaign.state, is_cancelled=campaign.is_cancelled),
            "from": {"file": "the configuration file", "api": "the API", "cli": "a command"}.get(
                campaign.origin, plain(campaign.origin)
            ),
            "discount": wording.discount(definition),
            "for": wording.selection(definition.get("targets", {})),
            "but for": wording.selection(definition.get("excludes", {})),
            "newcomers": definition.get("newcomers", "join"),
            "variants": _variants(campaign),
            "starts": values.moment(campaign.starts_at, zone),
            "on sale": span(
                (times.first_applied, late.first_on_sale_seconds),
                (times.last_applied, late.last_on_sale_seconds),
                zone,
            ),
            "ends": values.moment(campaign.ends_at, zone),
            "restored": span(
                (times.first_reverted, late.first_restored_seconds),
                (times.last_reverted, late.last_restored_seconds),
                zone,
            ),
            "verified": values.moment(times.last_verified, zone),
            "overdue": Text(wording.overdue(campaign) or "-", style="red" if wording.overdue(campaign) else ""),
            "notice": plain(campaign.notice or "-"),
        }
    )
    for event in campaign.events[-SHOWN_EVENTS:]:
        detail = f": {plain(event.detail)}" if event.detail else ""
        output.write_text(f"  {values.moment(event.at, zone)}  {event.state}{detail}")
    if drifted:
        output.write_text("")
        write_drifted(drifted)
        waiting = campaign.counts.get("DRIFTED", 0)
        if len(drifted) < waiting:
            output.say(
                f"These are the first {len(drifted)} of {waiting:,}: "
                f"dongbo sale show {campaign.name} --store {campaign.store} --items DRIFTED"
            )
    say_next_steps(campaign)


def say_next_steps(campaign: Sale) -> None:
    """What a person may do now."""
    for step in wording.next_steps(campaign):
        output.say(step)


def write_drifted(items: Sequence[SaleItem]) -> None:
    """Variants whose price somebody else has changed, with both values; compare-at prices are in parentheses."""
    output.write_table(
        ("variant", "sku", "title", "without the sale", "during it", "found"),
        [
            [
                Text(str(item.variant_id)),
                Text(plain(item.sku or "")),
                Text(plain(item.title or "")),
                Text(prices(item.base_price, item.base_compare_at_price)),
                Text(prices(item.sale_price, item.sale_compare_at_price)),
                Text(prices(item.found_price, item.found_compare_at_price), style="magenta"),
            ]
            for item in items
        ],
    )


def write_items(items: Sequence[SaleItem], zone: tzinfo) -> None:
    """Variants of a campaign as a table; compare-at prices are in parentheses."""
    output.write_table(
        ("variant", "sku", "title", "state", "without the sale", "during it", "found", "on sale", "closed", "note"),
        [_item(item, zone) for item in items],
    )


def write_item(item: SaleItemDetail, zone: tzinfo) -> None:
    """A variant of a campaign with every write of its prices."""
    output.write_fields(
        {
            "variant": str(item.variant_id),
            "product": str(item.product_id),
            "sku": plain(item.sku or "-"),
            "title": plain(item.title or "-"),
            "state": Text(item.state, style=wording.ITEM_STYLES.get(item.state, "")),
            "before": prices(item.before_price, item.before_compare_at_price),
            "without the sale": prices(item.base_price, item.base_compare_at_price),
            "during it": prices(item.sale_price, item.sale_compare_at_price),
            "found": prices(item.found_price, item.found_compare_at_price),
            "decision": item.decision or "-",
            "on sale": values.moment(item.applied_at, zone),
            "closed": values.moment(item.closed_at, zone),
            "verified": values.moment(item.verified_at, zone),
            "note": plain(item.note or "-"),
        }
    )
    for write in item.writes:
        old = prices(write.old_price, write.old_compare_at_price)
        new = prices(write.new_price, write.new_compare_at_price)
        detail = f": {plain(write.detail)}" if write.detail else ""
        output.write_renderable(
            Text.assemble(
                f"  {values.moment(write.intended_at, zone)}  {write.action}  {old} → {new}  ",
                (write.result, values.RESULT_STYLES.get(write.result, "")),
                f"{detail}  job {write.job_id}",
            )
        )


def state_text(state: str, *, is_cancelled: bool) -> Text:
    """A campaign's state."""
    called_off = " (called off)" if is_cancelled and state != "CANCELLED" else ""
    return Text(f"{state}{called_off}", style=wording.STATE_STYLES.get(state, ""))


def span(first: tuple[datetime | None, float | None], last: tuple[datetime | None, float | None], zone: tzinfo) -> str:
    """When something happened to the first and to the last variant, and how many seconds late; a dash for never."""
    if first[0] is None:
        return "-"
    shown = [f"{values.moment(at, zone)}{wording.lateness(late)}" for at, late in (first, last)]
    return f"first {shown[0]}, last {shown[1]}"


def _variants(campaign: SaleDetail) -> str:
    counted = wording.counted(campaign.counts)
    drifting = f"; {campaign.drifting:,} with a different price" if campaign.drifting else ""
    return f"{campaign.variants:,}{f': {counted}' if counted else ''}{drifting}"


def _note(campaign: Sale) -> Text:
    text = "; ".join(filter(None, [wording.overdue(campaign), plain(campaign.notice or "")]))
    return Text(text, style="red" if wording.overdue(campaign) else "")


def _row(campaign: Sale, zone: tzinfo) -> list[Text]:
    return [
        Text(campaign.name),
        Text(campaign.store),
        state_text(campaign.state, is_cancelled=campaign.is_cancelled),
        Text(values.moment(campaign.starts_at, zone)),
        Text(values.moment(campaign.ends_at, zone)),
        Text(f"{campaign.variants:,}"),
        _note(campaign),
    ]


def _item(item: SaleItem, zone: tzinfo) -> list[Text]:
    return [
        Text(str(item.variant_id)),
        Text(plain(item.sku or "")),
        Text(plain(item.title or "")),
        Text(item.state, style=wording.ITEM_STYLES.get(item.state, "")),
        Text(prices(item.base_price, item.base_compare_at_price)),
        Text(prices(item.sale_price, item.sale_compare_at_price)),
        Text(prices(item.found_price, item.found_compare_at_price)),
        Text(values.moment(item.applied_at, zone)),
        Text(values.moment(item.closed_at, zone)),
        Text(plain(item.note or "")),
    ]
