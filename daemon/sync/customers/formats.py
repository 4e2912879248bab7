"""How total and tier are written into metafields, by the types that the shop defines for them.

Source: Shopify documentation, "Metafield types" and "List of validation options". A metafield that the shop has not
defined takes any type; one that it has defined refuses every other.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

import orjson

from daemon.config import CustomerSyncSettings
from daemon.errors import SourceRefused
from daemon.i18n import gettext as _
from daemon.i18n import ngettext
from daemon.money import VND
from daemon.sources.shopify.models import Metafield, MetafieldDefinition

TOTAL_TYPE = "number_integer"  # where the shop defines none
TIER_TYPE = "single_line_text_field"
LARGEST_TOTAL = 10**15  # beyond what anybody spends

_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Format:
    """A type of metafields, with how a value is written in it; reading what was written gives the value again.

    `read` raises ValueError for what is not a value of it.
    """

    type: str
    write: Callable[[str], str]
    read: Callable[[str], str]

    def amount(self, present: str) -> Decimal | None:
        """The number in a metafield of a total, if it holds one and nothing else."""
        try:
            return Decimal(self.read(present))
        except ValueError:
            return None

    def is_same(self, present: str | None, value: str) -> bool:
        """Whether a metafield says this value already, however it is spelled: Shopify writes 7 as 7.0 where it may."""
        if present is None:
            return False
        try:
            return self.read(present) == self.read(value)
        except ValueError:
            return present == value


@dataclass(frozen=True, slots=True)
class Formats:
    """How the metafields of one store are written."""

    total: Format
    tier: Format


def _number(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    amount = Decimal(text)
    return f"{amount.normalize():f}" if amount else "0"


def _integer(text: str) -> str:
    if "." in text:
        raise ValueError(text)
    return _number(text)


def _amount(text: str) -> str:
    try:
        money = orjson.loads(text)
        if money["currency_code"] != VND.code:
            raise ValueError(text)
        return _number(str(money["amount"]))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(text) from error


def _written_amount(text: str) -> str:
    return orjson.dumps({"amount": text, "currency_code": VND.code}).decode()


def _listed(text: str) -> str:
    return orjson.dumps([text]).decode()


def _list(text: str) -> str:
    try:
        return orjson.dumps(orjson.loads(text)).decode()
    except orjson.JSONDecodeError as error:
        raise ValueError(text) from error


def _as_it_is(text: str) -> str:
    return text


_TOTALS: Mapping[str, Format] = MappingProxyType(
    {
        each.type: each
        for each in (
            Format("number_integer", _as_it_is, _integer),
            Format("number_decimal", _as_it_is, _number),
            Format("money", _written_amount, _amount),
            Format("single_line_text_field", _as_it_is, _integer),
            Format("multi_line_text_field", _as_it_is, _integer),
        )
    }
)
_TIERS: Mapping[str, Format] = MappingProxyType(
    {
        each.type: each
        for each in (
            Format("single_line_text_field", _as_it_is, _as_it_is),
            Format("multi_line_text_field", _as_it_is, _as_it_is),
            Format("list.single_line_text_field", _listed, _list),
        )
    }
)
DEFAULT = Formats(_TOTALS[TOTAL_TYPE], _TIERS[TIER_TYPE])


def total_format(present: Metafield, otherwise: Format) -> Format:
    """How a metafield of a total is to be read: by its own type, which is that of the definition if there is one."""
    return _TOTALS.get(present.type, otherwise)


def tier_format(present: Metafield, otherwise: Format) -> Format:
    """How a metafield of a tier is to be read; see `total_format`."""
    return _TIERS.get(present.type, otherwise)


def needs_currency(settings: CustomerSyncSettings, definitions: Mapping[str, MetafieldDefinition | None]) -> bool:
    """Whether `choose_formats` must know the currency of the shop."""
    definition = definitions.get(settings.total_spent)
    return definition is not None and definition.type == "money"


def choose_formats(
    settings: CustomerSyncSettings,
    definitions: Mapping[str, MetafieldDefinition | None],
    shop_currency: str | None = None,
) -> Formats:
    """How to write what is pushed, by what the shop has defined, {"namespace.key": definition}.

    `shop_currency` is needed where `needs_currency` says so: Shopify takes amounts of no other currency.

    Raises:
        SourceRefused: a type can't hold the value, with what to do.
    """
    total = _chosen(settings.total_spent, "total_spent", definitions, _TOTALS, TOTAL_TYPE)
    if total.type == "money" and shop_currency != VND.code:
        raise SourceRefused(
            _(
                "The shop defines the customers' metafield {total_spent} as money, which is in its currency, "
                "{shop_currency}, and what was spent at Nhanh.vn is in {code}: name a metafield of the type "
                "number_decimal as total_spent."
            ).format(total_spent=settings.total_spent, shop_currency=shop_currency, code=VND.code)
        )
    definition = definitions.get(settings.total_spent)
    if definition is not None and not any(_takes(definition, each) for each in _ordinary_totals(definition)):
        raise SourceRefused(
            _(
                "The shop accepts no total in the customers' metafield {total_spent}: the rules in the shop's "
                "settings under Metafields allow no whole number. Fix them there, or name another metafield as "
                "total_spent of the store's customer_sync."
            ).format(total_spent=settings.total_spent)
        )
    if settings.tier is None:
        return Formats(total, DEFAULT.tier)
    tier = _chosen(settings.tier, "tier", definitions, _TIERS, TIER_TYPE)
    definition = definitions.get(settings.tier)
    names = [each.name.strip() for each in settings.tiers]
    choices = definition.choices if definition is not None else None
    missing = [name for name in names if choices is not None and name not in choices]
    if missing:
        raise SourceRefused(
            ngettext(
                "The shop accepts only {choices} in the customers' metafield {tier}, and not {missing}: add it "
                "to the choices in the shop's settings under Metafields, or rename the tiers in the configuration.",
                "The shop accepts only {choices} in the customers' metafield {tier}, and not {missing}: add them "
                "to the choices in the shop's settings under Metafields, or rename the tiers in the configuration.",
                len(missing),
            ).format(choices=", ".join(choices or ()), tier=settings.tier, missing=", ".join(missing))
        )
    unfit = [name for name in names if definition is not None and not _takes(definition, name)]
    if unfit:
        raise SourceRefused(
            _(
                "The shop does not accept {unfit} in the customers' metafield {tier}: fix its rules in the shop's "
                "settings under Metafields, or rename the tiers in the configuration."
            ).format(unfit=", ".join(unfit), tier=settings.tier)
        )
    return Formats(total, tier)


def _takes(definition: MetafieldDefinition, value: str) -> bool:
    """Whether the rules of a definition leave room for a value; those that can't be judged here do."""
    if definition.choices is not None and value not in definition.choices:
        return False
    size = Decimal(value) if definition.type.startswith("number_") else Decimal(len(value))
    if definition.minimum is not None and size < definition.minimum:
        return False
    if definition.maximum is not None and size > definition.maximum:
        return False
    try:
        return definition.pattern is None or re.search(definition.pattern, value) is not None
    except re.error:  # Shopify's expressions are not Python's
        return True


def _ordinary_totals(definition: MetafieldDefinition) -> Iterator[str]:
    """Totals of which at least one must be accepted if that of any buying customer is."""
    yield from ("1", "7", "10", "99", "123", "1000", "12345", "50000", "123456", "1000000", "12345678", "100000000")
    for bound in (definition.minimum, definition.maximum):
        if bound is not None and 1 <= bound < LARGEST_TOTAL:
            yield str(int(bound))


def _chosen(
    name: str,
    key: str,
    definitions: Mapping[str, MetafieldDefinition | None],
    formats: Mapping[str, Format],
    default: str,
) -> Format:
    definition = definitions.get(name)
    if definition is None:
        return formats[default]
    if definition.type not in formats:
        raise SourceRefused(
            _(
                "The shop defines the customers' metafield {name} as {type}, which can't hold the value: name "
                "another one as {key} of the store's customer_sync, or redefine it in the shop's settings under "
                "Metafields; {formats} can be written."
            ).format(name=name, type=definition.type, key=key, formats=", ".join(formats))
        )
    return formats[definition.type]
