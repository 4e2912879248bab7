"""The first thing to say of an item: whether Shopify has of it what it should have, and if not, why."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from daemon.api.explanation import ExplainedValue, ExplainedVariant
from daemon.api.items import ItemVerdict
from daemon.api.mappings import MappingState
from daemon.api.pushes import PushKind, PushResult
from daemon.config import ProductSyncSettings
from daemon.i18n import gettext as _
from daemon.i18n import moment, ngettext
from daemon.tone import Tone

UNMAPPED = {
    MappingState.UNMATCHED: Tone.WARN,
    MappingState.AMBIGUOUS: Tone.ASK,
    MappingState.RETIRED: Tone.WARN,
    MappingState.EXCLUDED: Tone.OFF,  # as a person has decided
}


def item_verdict(
    variant: ExplainedVariant, settings: ProductSyncSettings | None, zone: tzinfo, as_of: datetime | None = None
) -> ItemVerdict:
    """The verdict on a variant whose values are explained; times are in `zone`.

    Args:
        settings: what of the products is synced; None where nothing is.
        as_of: when both sides were known last; None where that is not known.
    """
    if variant.deleted_at is not None:
        noticed = moment(variant.deleted_at, zone)
        return ItemVerdict(Tone.OFF, _("It no longer exists in Shopify, noticed {time}.").format(time=noticed))
    if settings is None:
        return ItemVerdict(Tone.OFF, _("No products of this store are pushed."))
    if variant.mapping.state in UNMAPPED:
        return ItemVerdict(UNMAPPED[variant.mapping.state], sentence(variant.mapping.text))
    values = [value for value in variant.values if is_configured(value, settings)]
    return _of_values(values, moment(as_of, zone) if as_of is not None else None)


def is_configured(value: ExplainedValue, settings: ProductSyncSettings | None) -> bool:
    """Whether the configuration says that the value is pushed: the stock of a location that it does not name is not."""
    if settings is None:
        return False
    return value.kind is not PushKind.STOCK or value.location_id in settings.depots_of


def differs(value: ExplainedValue) -> bool:
    """Whether a sync would set the value, and nothing is in the way."""
    return value.equal is False and value.obstacle is None


def sentence(clause: str) -> str:
    """A clause on its own."""
    text = clause.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _of_values(values: Sequence[ExplainedValue], as_of: str | None) -> ItemVerdict:
    waiting = [value for value in values if value.approval_job_id is not None]
    if waiting:
        text = ngettext("{n} value waits for approval.", "{n} values wait for approval.", len(waiting))
        return ItemVerdict(Tone.ASK, text.format(n=len(waiting)))
    differing = [value for value in values if differs(value)]
    refused = [value for value in differing if value.pushes and value.pushes[0].result is PushResult.REFUSED]
    if refused:
        why = refused[0].pushes[0].detail or _("Shopify did not say why")
        return ItemVerdict(Tone.BAD, _("Shopify refused the last change: {why}.").format(why=why.rstrip(".")))
    if differing:
        text = ngettext(
            "{n} value differs from Nhanh.vn: the next sync sets it.",
            "{n} values differ from Nhanh.vn: the next sync sets them.",
            len(differing),
        )
        return ItemVerdict(Tone.WARN, text.format(n=len(differing)))
    left_alone = [value for value in values if value.obstacle is not None and not value.equal and value.sale is None]
    if left_alone:
        # What a rule leaves alone is as a person has decided.
        wrong = [value for value in left_alone if value.equal is False and not value.is_left_to_rule]
        tone = Tone.WARN if wrong else Tone.OFF
        why = " ".join(dict.fromkeys(sentence(value.obstacle or "") for value in left_alone))
        return ItemVerdict(tone, _("Not pushed: {why}").format(why=why))
    sale = next((value.sale for value in values if value.sale is not None), None)
    if sale is not None:
        text = _("The sale {sale} has its prices; all else is as Nhanh.vn says.")
        return ItemVerdict(Tone.OK, text.format(sale=sale))
    if as_of is None:
        return ItemVerdict(Tone.OK, _("Shopify matches Nhanh.vn."))
    return ItemVerdict(Tone.OK, _("Shopify matches Nhanh.vn as of {time}.").format(time=as_of))
