"""Customers out of an answer, each along with the metafields that are pushed there."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

import orjson

from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.sources.decode import RowDecoder, UnfitRowError
from daemon.sources.page import BadRow, SourceRow
from daemon.sources.shopify.errors import ProtectedDataRefused
from daemon.sources.shopify.models import (
    CustomerMetafields,
    Metafield,
    MetafieldDefinition,
    ShopifyCustomer,
    dec_hook,
    metafield_name,
)
from daemon.sources.shopify.partial import DENIED, Unreadable
from daemon.sources.shopify.products import shopify_id

# Shopify documentation, "Protected customer data": which fields may be kept from an app. What can't be null
# is no longer asked for once it was refused, by the variable of its group.
_GROUPS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "withNames": frozenset({"firstName", "lastName", "displayName"}),
        "withEmail": frozenset({"defaultEmailAddress"}),
        "withPhone": frozenset({"defaultPhoneNumber"}),
        "withAddress": frozenset({"defaultAddress"}),
    }
)
_PROTECTED = frozenset().union(*_GROUPS.values())
_WORDS = {
    "firstName": mark("first name"),
    "lastName": mark("last name"),
    "displayName": mark("name"),
    "defaultEmailAddress": mark("email address"),
    "defaultPhoneNumber": mark("phone number"),
    "defaultAddress": mark("address"),
}


CUSTOMERS_AT_ONCE = 50  # read without a break: some 2 ms


def in_words(path: str) -> str:
    """What people call a customer's field, given its path with dots between names."""
    top, _dot, inside = path.partition(".")
    word = _(_WORDS.get(top, top))
    return _("{inside} in the {word}").format(inside=inside, word=word) if top == "defaultAddress" and inside else word


def leave_out(variables: dict[str, Any], refusal: ProtectedDataRefused) -> None:
    """Stop asking for the fields that were refused.

    Raises:
        ProtectedDataRefused: it is not said which, or they were not asked for: all of a customer is refused.
    """
    refused = [name for name, fields in _GROUPS.items() if variables.get(name) and fields & refusal.fields]
    if not refused:
        raise refusal
    variables.update(dict.fromkeys(refused, False))


CUSTOMERS = RowDecoder(ShopifyCustomer, dec_hook=dec_hook, source_id=shopify_id)
METAFIELDS = RowDecoder(Metafield)


class CustomerReader:
    """Reads customers and the metafields of these names.

    Raises:
        ValueError: a name of a metafield is not "namespace.key".
    """

    def __init__(self, names: CustomerMetafields) -> None:
        self._aliases = {"totalSpentMetafield": names.total_spent, "tierMetafield": names.tier}
        spent_namespace, spent_key = metafield_name(names.total_spent)
        tier_namespace, tier_key = metafield_name(names.tier)
        self.variables: dict[str, Any] = dict.fromkeys(_GROUPS, True) | {
            "totalSpentNamespace": spent_namespace,
            "totalSpentKey": spent_key,
            "tierNamespace": tier_namespace,
            "tierKey": tier_key,
        }

    def definitions(self, data: dict[str, Any]) -> dict[str, MetafieldDefinition | None]:
        """The shop's definitions of the metafields, by their names; None: not defined.

        Raises:
            KeyError, TypeError, ValueError: that can't be read.
        """
        return {name: _definition(name, data[alias]["nodes"]) for alias, name in self._aliases.items()}

    async def read(self, nodes: list[Any]) -> tuple[list[SourceRow[ShopifyCustomer]], list[BadRow]]:
        """Typed customers, and those that don't fit. A row's document is the customer without the metafields."""
        good: list[SourceRow[ShopifyCustomer]] = []
        bad: list[BadRow] = []
        for place, node in enumerate(nodes):
            if place % CUSTOMERS_AT_ONCE == 0:
                await asyncio.sleep(0)
            if isinstance(node, Unreadable):
                bad.append(CUSTOMERS.bad(orjson.dumps(node.row), node.reason))
                continue
            try:
                good.append(self._customer(node))
            except UnfitRowError as error:
                bad.append(CUSTOMERS.bad(orjson.dumps(node), str(error)))
        return good, bad

    def _customer(self, node: Any) -> SourceRow[ShopifyCustomer]:
        if not isinstance(node, dict):
            raise UnfitRowError(_("The row is not an object."))
        besides = self._aliases.keys() | {DENIED}
        document = orjson.dumps({name: value for name, value in node.items() if name not in besides})
        customer = CUSTOMERS.checked(document)
        # What was not asked for, because it is refused, is missing altogether.
        customer.denied = frozenset(node.get(DENIED, ())) | (_PROTECTED - node.keys())
        customer.metafields = {name: self._metafield(node, alias, name) for alias, name in self._aliases.items()}
        return SourceRow(customer, document)

    def _metafield(self, node: dict[str, Any], alias: str, name: str) -> Metafield | None:
        if alias not in node:  # it was asked for, so that null alone means that it is not set
            raise UnfitRowError(_("The metafield {name} is missing.").format(name=name))
        if node[alias] is None:
            return None
        try:
            return METAFIELDS.checked(orjson.dumps(node[alias]))
        except UnfitRowError as error:
            raise UnfitRowError(_("Metafield {name}: {error}").format(name=name, error=error)) from error


def _definition(name: str, nodes: list[dict[str, Any]]) -> MetafieldDefinition | None:
    found = next((node for node in nodes if f"{node['namespace']}.{node['key']}" == name), None)
    if found is None:
        return None
    # Shopify documentation, "List of validation options": the value of `choices` is a list as JSON.
    validations = {str(each["name"]): str(each["value"]) for each in found["validations"] if each["value"]}
    listed = validations.get("choices")
    return MetafieldDefinition(
        type=str(found["type"]["name"]),
        choices=tuple(str(choice) for choice in orjson.loads(listed)) if listed else None,
        minimum=_number(validations.get("min")),
        maximum=_number(validations.get("max")),
        pattern=validations.get("regex"),
    )


def _number(text: str | None) -> Decimal | None:
    """A bound; None also for one of another kind, such as a time."""
    try:
        return Decimal(text) if text is not None else None
    except InvalidOperation:
        return None
