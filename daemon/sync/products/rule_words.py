"""Rules of the configuration as sentences for people."""

from collections.abc import Iterable

from daemon.config import RangeSettings, RuleConditions, RuleSettings
from daemon.i18n import gettext as _
from daemon.i18n import ngettext, number_text
from daemon.money import amount_text


def describe_rule(rule: RuleSettings) -> str:
    """Such as "where the vendor is “Nike” and the stock is 3 or less: 2 pieces are held back"."""
    conditions = _(" and ").join(_conditions(rule.when))
    effects = [_effect(name, effect) for name, effect in rule.effects.items()]
    return _("where {conditions}: {effects}").format(conditions=conditions, effects=", ".join(effects))


def _conditions(when: RuleConditions) -> Iterable[str]:
    named = (
        (_("the vendor is {any}"), when.vendor),
        (_("a tag is {any}"), when.tag),
        (_("the type is {any}"), when.type),
    )
    numbered = (
        (_("the category at Nhanh.vn is {any}"), when.category),
        (_("the brand at Nhanh.vn is {any}"), when.brand),
    )
    for sentence, words in named:
        if words is not None:
            yield sentence.format(any=_(" or ").join(f"“{word}”" for word in words))
    for sentence, ids in numbered:
        if ids is not None:
            yield sentence.format(any=_(" or ").join(map(str, ids)))
    for sentence, limits in ((_("the price is {range}"), when.price), (_("the stock is {range}"), when.stock)):
        if limits is not None:
            yield sentence.format(range=_range(limits))


def _range(limits: RangeSettings) -> str:
    lowest = "" if limits.lowest is None else amount_text(limits.lowest)
    highest = "" if limits.highest is None else amount_text(limits.highest)
    if limits.lowest is None:
        return _("{highest} or less").format(highest=highest)
    if limits.highest is None:
        return _("{lowest} or more").format(lowest=lowest)
    return _("from {lowest} to {highest}").format(lowest=lowest, highest=highest)


def _effect(name: str, effect: bool | int) -> str:
    if effect is False:
        return _("“{effect}” of later rules does not apply").format(effect=name)
    match name:
        case "skip":
            return _("left alone")
        case "ask":
            return _("a person is asked before any change")
        case "reserve":
            return ngettext("{n} piece is held back", "{n} pieces are held back", effect).format(n=number_text(effect))
        case "maximum":
            return _("a location gets at most {n}").format(n=number_text(effect))
        case _:
            return _("its prices are left alone")
