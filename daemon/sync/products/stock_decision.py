"""What to do with the rows of a call in which Shopify has set nothing: decided from its errors and a new reading."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from daemon.api.pushes import PushResult
from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.sources.shopify.models import ItemStock, QuantityName, Reading
from daemon.sources.shopify.writes import ITEM_GONE_CODES, STALE_CODES, WriteError
from daemon.sync.products.rows import StockRow

GONE = mark("The item no longer exists in Shopify: pull Shopify's products, then sync again.")
UNREAD = mark("It has changed at Shopify, and its new value is unknown: {reason} The next sync tries again.")
SENT_AGAIN = mark("another row of the same call was refused; sent again")
LOST_ANSWER = mark("an answer was lost; Shopify has the new value")


@dataclass
class StockDecision:
    """The outcome of the rows of a call, or of several."""

    outcomes: list[tuple[PushResult, str | None]] = field(default_factory=list)  # in the order of the rows
    sound: list[StockRow] = field(default_factory=list)  # to be sent again as they are
    moved: list[StockRow] = field(default_factory=list)  # with what Shopify has now
    set_by_us: list[StockRow] = field(default_factory=list)
    untracked: list[StockRow] = field(default_factory=list)  # Shopify no longer tracks them
    refused: list[tuple[StockRow, str]] = field(default_factory=list)  # with the reason

    def __add__(self, other: "StockDecision") -> "StockDecision":
        return StockDecision(
            self.outcomes + other.outcomes,
            self.sound + other.sound,
            self.moved + other.moved,
            self.set_by_us + other.set_by_us,
            self.untracked + other.untracked,
            self.refused + other.refused,
        )


def moved(rows: Sequence[StockRow], errors: Sequence[WriteError]) -> list[StockRow]:
    """The rows of which something has changed at Shopify since they were read."""
    return [rows[error.index] for error in errors if error.index is not None and _has_moved(error)]


def decide(
    rows: Sequence[StockRow],
    errors: Sequence[WriteError],
    stock: Reading[ItemStock],
    *,
    was_repeated: bool,
    quantity: QuantityName = "available",
) -> StockDecision:
    """Decide about each row again.

    Args:
        rows: of the call.
        errors: Shopify's answer; each names its row.
        stock: of the items of the rows that have `moved`, read after the call.
        was_repeated: whether the call was sent more than once. Then its first attempt may have come through, and what
            is stale with the wanted value may be so by our own doing.
        quantity: which one the rows are about.
    """
    decision = StockDecision()
    failed = {error.index: error for error in errors}
    for index, row in enumerate(rows):
        error = failed.get(index)
        if error is None:
            decision.outcomes.append((PushResult.REFUSED, _(SENT_AGAIN)))
            decision.sound.append(row)
        elif _has_moved(error):
            decision.outcomes.append(_decide_moved(row, stock, decision, quantity, was_repeated=was_repeated))
        else:
            decision.outcomes.append((PushResult.REFUSED, error.message))
            gone = error.code in ITEM_GONE_CODES
            reason = _(GONE) if gone else _("Shopify refused to set its stock: {message}").format(message=error.message)
            decision.refused.append((row, reason))
    return decision


def _decide_moved(
    row: StockRow, stock: Reading[ItemStock], decision: StockDecision, quantity: QuantityName, *, was_repeated: bool
) -> tuple[PushResult, str | None]:
    item = stock.found.get(row.item_id)
    if item is None and row.item_id in stock.unread:
        reason = _(UNREAD).format(reason=stock.unread[row.item_id])
        decision.refused.append((row, reason))
        return (PushResult.UNKNOWN if was_repeated else PushResult.STALE), reason
    if item is None:
        decision.refused.append((row, _(GONE)))
        return PushResult.REFUSED, _(GONE)
    level = item.levels.get(row.key.location_id)
    present = None if level is None else level.named(quantity)
    if present == row.desired and was_repeated:
        decision.set_by_us.append(row)
        return PushResult.APPLIED, _(LOST_ANSWER)
    if item.tracked:
        decision.moved.append(replace(row, present=present))
    else:
        decision.untracked.append(row)
    found = _("Shopify had no stock of it there") if present is None else _("Shopify had {value}").format(value=present)
    if was_repeated:
        return PushResult.UNKNOWN, _("an answer was lost; {found}").format(found=found)
    return PushResult.STALE, found


def _has_moved(error: WriteError) -> bool:
    return error.code in STALE_CODES
