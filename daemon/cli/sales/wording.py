"""Sale campaigns in words: states, amounts, what a definition says, what to do next."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from daemon.api.sales import Sale
from daemon.cli.render import values
from daemon.cli.render.output import plain

STATE_STYLES = {
    "DRAFT": "dim",
    "SCHEDULED": "cyan",
    "APPLYING": "blue",
    "ACTIVE": "green",
    "REVERTING": "blue",
    "COMPLETED": "green",
    "CANCELLED": "yellow",
    "FAILED": "red",
    "NEEDS_ATTENTION": "bold magenta",
}
ITEM_STYLES = {
    "APPLIED": "green",
    "REVERTED": "green",
    "DRIFTED": "bold magenta",
    "STUCK": "red",
    "REFUSED": "red",
    "GONE": "yellow",
    "SKIPPED": "dim",
}
MOST_NAMED = 5  # entries of a list of targets
KINDS = {
    "products": "products",
    "collections": "collections",
    "product_types": "types",
    "vendors": "vendors",
    "tags": "tags",
    "skus": "SKUs",
}


def amount(text: str | None) -> str:
    """1,234,500 or 12.50; a dash for none."""
    return "–" if text is None else f"{Decimal(text):,f}"


def prices(price: str | None, compare_at: str | None) -> str:
    """A price with its compare-at price in parentheses."""
    return f"{amount(price)} ({amount(compare_at)})" if compare_at is not None else amount(price)


def discount(definition: Mapping[str, Any]) -> str:
    """`20% off the compare-at price where it is above the price, rounded down to 1,000, ending in 900`"""
    percent = definition.get("percent")
    reduced = f"{amount(percent)}%" if percent is not None else amount(definition.get("amount"))
    is_of_price = definition.get("discount_from") == "price"
    parts = [f"{reduced} off {'the price' if is_of_price else 'the compare-at price where it is above the price'}"]
    if "round_to" in definition:
        parts.append(f"rounded down to {amount(definition['round_to'])}")
    if "ending" in definition:
        parts.append(f"ending in {amount(definition['ending'])}")
    if "floor" in definition:
        parts.append(f"never below {amount(definition['floor'])}")
    return ", ".join(parts)


def selection(chosen: Mapping[str, Any]) -> str:
    """`collections tet, gifts; tags sale`; a dash where nothing is chosen."""
    if chosen.get("all"):
        return "all variants"
    return "; ".join(f"{word} {_some(chosen[key])}" for key, word in KINDS.items() if chosen.get(key)) or "-"


def period(starts: str | datetime | None, ends: str | datetime | None, zone: tzinfo) -> str:
    """`from … until …`"""
    first = "from now" if starts is None else f"from {values.moment(starts, zone)}"
    return f"{first} until {'a person ends it' if ends is None else values.moment(ends, zone)}"


def lateness(seconds: float | None) -> str:
    """` (2.5 s late)`, ` (12 s early)`; nothing where it is not known."""
    if seconds is None:
        return ""
    return f" ({values.duration(abs(seconds))} {'late' if seconds >= 0 else 'early'})"


def starts_at_once(definition: Mapping[str, Any]) -> bool:
    """Whether a campaign of this definition, whose times are in UTC, would begin as soon as it is created."""
    starts = definition.get("starts")
    return has_come(datetime.fromisoformat(starts) if starts is not None else None)


def has_come(start: datetime | None) -> bool:
    """Whether it is time for a start; None is at once."""
    return start is None or start <= datetime.now(UTC)


def counted(counts: Mapping[str, int]) -> str:
    """`100 APPLIED, 20 SKIPPED`"""
    return ", ".join(f"{number:,} {plain(name)}" for name, number in counts.items() if number)


def overdue(campaign: Sale) -> str:
    """What is late right now; nothing where nothing is."""
    edges = (("start", campaign.overdue.start_seconds), ("end", campaign.overdue.end_seconds))
    return ", ".join(f"{edge} overdue by {values.duration(seconds)}" for edge, seconds in edges if seconds > 0)


def outcome(campaign: Sale, zone: tzinfo) -> str:
    """A campaign after something was asked of it, in one line."""
    head = f"sale {campaign.name} of {campaign.store} is {campaign.state}"
    match campaign.state:
        case "DRAFT" | "SCHEDULED":
            return f"{head}: {campaign.variants:,} variants, {period(campaign.starts_at, campaign.ends_at, zone)}"
        case "APPLYING" | "REVERTING":
            return f"{head}: {campaign.variants:,} variants"
        case _:
            return head


def next_steps(campaign: Sale) -> Iterator[str]:
    """The commands that fit the state of a campaign, for whoever has to act."""
    named = f"{campaign.name} --store {campaign.store}"
    counts = campaign.counts
    match campaign.state:
        case "DRAFT":
            yield f"plan it for its time: dongbo sale resume {named}"
            yield f"start it now: dongbo sale apply {named}"
        case "NEEDS_ATTENTION":
            if counts.get("DRIFTED"):
                yield f"keep the prices that somebody else set: dongbo sale resume {named} --keep all (or --keep ID)"
                yield f"restore those without the sale: dongbo sale resume {named} --restore all (or --restore ID)"
            if counts.get("STUCK"):
                yield f"retry what Shopify refused: dongbo sale resume {named}"
                yield f"see what that was: dongbo sale show {named} --items STUCK"
        case "APPLYING" | "REVERTING":
            yield "follow it: dongbo jobs watch"
        case _:
            pass


def _some(values: Sequence[object]) -> str:
    named = ", ".join(plain(value) for value in values[:MOST_NAMED])
    more = len(values) - MOST_NAMED
    return f"{named} and {more:,} more" if more > 0 else named
