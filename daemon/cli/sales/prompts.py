"""What is asked before a command of `dongbo sale` changes prices, and when that makes no sense."""

import sys
from datetime import tzinfo

from daemon.api.sales import Sale, SalePreview
from daemon.cli.confirmation import confirm
from daemon.cli.sales.wording import amount, counted, period
from daemon.errors import SaleConflict

# The states in which something may be asked of a campaign; the daemon follows the same rules.
STARTABLE = ("DRAFT", "SCHEDULED")
ENDABLE = ("APPLYING", "ACTIVE")


def confirm_change(question: str, *, yes: bool, is_at_once: bool) -> None:
    """Ask the person at the terminal, unless they have said yes already.

    Args:
        is_at_once: prices in the shop change at once; without a terminal nothing else needs consent.

    Raises:
        typer.BadParameter: there is no terminal to ask at, and consent is needed.
        typer.Exit: the answer is no.
    """
    if is_at_once or sys.stdin.isatty():
        confirm(question, yes=yes, why="this changes prices in the shop at once")


def require_state(campaign: Sale, states: tuple[str, ...], what: str) -> None:
    """Refuse what can't be asked of a campaign in its state, before anybody is asked about it. Raises SaleConflict."""
    if campaign.state not in states:
        raise SaleConflict(f"The sale {campaign.name} is {campaign.state}: {what}.")


def require_no_conflict(name: str, preview: SalePreview) -> None:
    """Refuse a campaign that the daemon would refuse, before anybody is asked about it. Raises SaleConflict."""
    if preview.conflicts:
        raise SaleConflict(
            f"The sale {name} can't hold variants that another campaign holds at an overlapping time "
            f"({counted(preview.conflicts)}): change the times, exclude these variants, save it with --draft, or, "
            "if the other campaign is over, decide about its prices first (dongbo sale resume)."
        )
    if not preview.totals.on_sale:
        reasons = f" ({counted(preview.skipped)})" if preview.skipped else ""
        raise SaleConflict(
            f"No variant would be on sale{reasons}: check the targets and the discount, and pull Shopify's products "
            "if they are new."
        )


def creation(name: str, store: str, preview: SalePreview, zone: tzinfo) -> str:
    """The question before a campaign is created."""
    definition, totals = preview.definition, preview.totals
    when = period(definition.get("starts"), definition.get("ends"), zone)
    return f"Put {totals.on_sale:,} variants of {store} on sale as {name}, {when}?"


def start(campaign: Sale, preview: SalePreview) -> str:
    """The question before a campaign is started by hand."""
    totals = preview.totals
    figures = f"{amount(totals.old_total)} → {amount(totals.new_total)}"
    return f"Start {campaign.name} of {campaign.store} now, for {totals.on_sale:,} variants ({figures})?"


def end(campaign: Sale, what: str) -> str:
    """The question before a running campaign is reverted."""
    held = sum(campaign.counts.get(state, 0) for state in ("APPLYING", "APPLIED"))
    return f"{what} {campaign.name} of {campaign.store}: restore the prices of {held:,} variants now?"
