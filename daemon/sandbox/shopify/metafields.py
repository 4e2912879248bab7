"""Customers' metafields: which values their types take, how they are read, and the mutation that sets them."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from daemon.sandbox.shopify.common_fields import Resolver, identified, page_of
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.idempotency import Payload
from daemon.sandbox.shopify.listings import sorted_listing
from daemon.sandbox.shopify.mutation import check_write_access, journal
from daemon.sandbox.shopify.paging import ConnectionPage
from daemon.sandbox.shopify.records import CustomerRecord, MetafieldDefinitionRecord, MetafieldRecord
from daemon.sandbox.shopify.values import Path, gid, parse_gid, user_error, written_decimal

MAX_METAFIELDS = 25  # Shopify's schema, metafieldsSet: "Maximum of 25."
OWN_NAMESPACE = "app--1"  # what a missing namespace, or $app, stands for
LARGEST_INTEGER = 9_007_199_254_740_991  # Shopify's list of metafield types
STALE = "The resource has been updated since it was loaded. Try again with an updated `compareDigest` value."

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LENGTHS = {"namespace": (3, 255), "key": (2, 64)}  # Shopify's schema, MetafieldsSetInput


# ── Types ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_integer(value: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,18}", value) is not None and abs(int(value)) <= LARGEST_INTEGER


def _is_decimal(value: str) -> bool:
    try:
        return Decimal(value).is_finite()
    except InvalidOperation:
        return False


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_json(value: str) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def _is_money(value: str) -> bool:
    try:
        money = json.loads(value)
        return _is_decimal(str(money["amount"])) and isinstance(money["currency_code"], str)
    except (ValueError, KeyError, TypeError):
        return False


def _is_list(value: str) -> bool:
    try:
        listed = json.loads(value)
    except ValueError:
        return False
    return isinstance(listed, list) and all(isinstance(each, str) for each in listed)


def _stored(value: str, type_: str) -> str:
    """How a value is spelt once it is stored: a decimal number has at least one digit behind the point."""
    return written_decimal(Decimal(value)) if type_ == "number_decimal" else value


_TYPES: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "boolean": (lambda value: value in ("true", "false"), "Value must be true or false."),
    "date": (_is_date, "Value must be in YYYY-MM-DD format."),
    "json": (_is_json, "Value is invalid JSON."),
    "list.single_line_text_field": (_is_list, "Value must be a list of texts."),
    "money": (_is_money, "Value must be an amount with its currency."),
    "multi_line_text_field": (lambda _: True, ""),
    "number_decimal": (_is_decimal, "Value must be a decimal."),
    "number_integer": (_is_integer, "Value must be an integer."),
    "single_line_text_field": (lambda value: not {"\n", "\r"} & set(value), "Value must be a single line text string."),
}


# ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def metafield_of(customer: CustomerRecord, _: Info, key: str, namespace: str | None = None) -> MetafieldRecord | None:
    """One metafield of a customer."""
    return customer.metafields.get((_namespace(namespace), key))


def metafields_of(customer: CustomerRecord, info: Info, **arguments: Any) -> ConnectionPage[MetafieldRecord]:
    """A page of a customer's metafields, all or those of a namespace or of some keys."""
    found = list(customer.metafields.values())
    if arguments.get("namespace") is not None:
        found = [each for each in found if each.namespace == _namespace(arguments["namespace"])]
    if arguments.get("keys") is not None:
        found = [each for each in found if f"{each.namespace}.{each.key}" in arguments["keys"]]
    listing = sorted_listing(found, lambda each: each.id, reverse=bool(arguments.get("reverse")))
    return page_of(info, listing, arguments)


METAFIELD: dict[str, Resolver] = {
    **identified("Metafield"),
    "owner": lambda metafield, info: info.context.state.customers.get(metafield.owner_id),
    "ownerType": lambda _metafield, _: "CUSTOMER",
    "sizeInBytes": lambda metafield, _: len(metafield.value.encode()),
}


def definition_of(_: object, info: Info, **arguments: Any) -> MetafieldDefinitionRecord | None:
    """The shop's definition of a metafield."""
    named = arguments.get("identifier") or {}
    return info.context.state.definitions.get((_namespace(named.get("namespace")), named.get("key", "")))


def definitions_of(_: object, info: Info, **arguments: Any) -> ConnectionPage[MetafieldDefinitionRecord]:
    """The shop's definitions, of all metafields or those of a namespace or key."""
    found = list(info.context.state.definitions.values())
    if arguments.get("namespace") is not None:
        found = [each for each in found if each.namespace == _namespace(arguments["namespace"])]
    if arguments.get("key") is not None:
        found = [each for each in found if each.key == arguments["key"]]
    listing = sorted_listing(found, lambda each: each.id, reverse=bool(arguments.get("reverse")))
    return page_of(info, listing, arguments)


DEFINITION: dict[str, Resolver] = {
    "id": lambda definition, _: gid("MetafieldDefinition", definition.id),
    "name": lambda definition, _: definition.key,
    "ownerType": lambda _definition, _: "CUSTOMER",
    "type": lambda definition, _: {"category": definition.type.partition("_")[0].upper(), "name": definition.type},
    "validations": lambda definition, _: [
        {"name": name, "type": "single_line_text_field", "value": value} for name, value in _rules(definition).items()
    ],
}


def _rules(definition: MetafieldDefinitionRecord) -> dict[str, str]:
    choices = {"choices": json.dumps(definition.choices)} if definition.choices else {}
    return choices | dict(definition.rules)


def _rule_broken(definition: MetafieldDefinitionRecord, value: str) -> str | None:
    """What Shopify says of a value that one of a definition's rules does not leave room for."""
    is_number, rules = definition.type.startswith("number_"), definition.rules
    try:
        size = Decimal(value) if is_number else Decimal(len(value))
    except InvalidOperation:  # it is of another type, which is an error of its own
        return None
    if definition.type.startswith("list."):  # rules are about what is in it
        return None
    if "min" in rules and size < Decimal(rules["min"]):
        return f"Value has a minimum {'of' if is_number else 'length of'} {rules['min']}."
    if "max" in rules and size > Decimal(rules["max"]):
        return f"Value has a maximum {'of' if is_number else 'length of'} {rules['max']}."
    if "regex" in rules and not re.search(rules["regex"], value):
        return "Value does not match the regular expression."
    return None


def _namespace(asked: str | None) -> str:
    """The namespace that is meant: `$app` and none are the app's own."""
    if asked is None:
        return OWN_NAMESPACE
    return f"{OWN_NAMESPACE}--{asked.removeprefix('$app:')}" if asked.startswith("$app:") else asked


# ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _set_metafields(_: object, info: Info, metafields: list[Mapping[str, Any]]) -> Payload:
    """All of them, or none and an error for each that doesn't fit. Customers are the only owners here."""
    if len(metafields) > MAX_METAFIELDS:
        message = f"Exceeded the maximum metafields input limit of {MAX_METAFIELDS}."
        return {"userErrors": [user_error(["metafields"], message, "LESS_THAN_OR_EQUAL_TO")]}
    for row in metafields:
        check_write_access(info, parse_gid(row["ownerId"])[0])
    wrong = [_error(info, index, row) for index, row in enumerate(metafields)]
    if any(wrong):
        return {"userErrors": [error for error in wrong if error is not None]}
    return {"metafields": [_apply(info, row) for row in metafields], "userErrors": []}


def _owner(info: Info, row: Mapping[str, Any]) -> CustomerRecord | None:
    kind, number = parse_gid(row["ownerId"])
    return info.context.state.customers.get(number) if kind == "Customer" else None


def _error(info: Info, index: int, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first thing that is wrong with a metafield to set."""
    path: Path = ["metafields", index]
    owner = _owner(info, row)
    if owner is None:
        return user_error([*path, "ownerId"], "Owner does not exist.", "INVALID")
    existing = metafield_of(owner, info, row["key"], row.get("namespace"))
    return _name_error(path, row) or _value_error(info, path, row, existing) or _digest_error(path, row, existing)


def _name_error(path: Path, row: Mapping[str, Any]) -> dict[str, Any] | None:
    for field, name in (("namespace", _namespace(row.get("namespace"))), ("key", row["key"])):
        shortest, longest = _LENGTHS[field]
        if len(name) < shortest:
            message = f"{field.capitalize()} is too short (minimum is {shortest} characters)"
            return user_error([*path, field], message, "TOO_SHORT")
        if len(name) > longest:
            message = f"{field.capitalize()} is too long (maximum is {longest} characters)"
            return user_error([*path, field], message, "TOO_LONG")
        if not _NAME.fullmatch(name):
            message = f"{field.capitalize()} contains one or more invalid characters."
            return user_error([*path, field], message, "INVALID")
    return None


def _value_error(
    info: Info, path: Path, row: Mapping[str, Any], existing: MetafieldRecord | None
) -> dict[str, Any] | None:
    definition = info.context.state.definitions.get((_namespace(row.get("namespace")), row["key"]))
    type_ = definition.type if definition and not row.get("type") else _type(row, existing)
    if definition is not None and type_ != definition.type:
        message = f"Type '{type_}' must be consistent with the definition's type: '{definition.type}'."
        return user_error([*path, "type"], message, "INVALID_TYPE")
    if definition is not None and definition.choices and row["value"] not in definition.choices:
        return user_error([*path, "value"], "Value does not exist in provided choices.", "INVALID_VALUE")
    if definition is not None and (broken := _rule_broken(definition, row["value"])) is not None:
        return user_error([*path, "value"], broken, "INVALID_VALUE")
    if type_ is None:
        return user_error([*path, "type"], "Type can't be blank", "BLANK")
    if type_ not in _TYPES:
        message = f"Type must be one of the following: {', '.join(_TYPES)}."
        return user_error([*path, "type"], message, "INVALID_TYPE")
    if not row["value"].strip():
        return user_error([*path, "value"], "Value can't be blank.", "BLANK")
    fits, message = _TYPES[type_]
    return None if fits(row["value"]) else user_error([*path, "value"], message, "INVALID_VALUE")


def _digest_error(path: Path, row: Mapping[str, Any], existing: MetafieldRecord | None) -> dict[str, Any] | None:
    """Shopify's schema: a digest must be that of the stored value, null demands that there is none."""
    if "compareDigest" not in row:
        return None
    digest = row["compareDigest"]
    if digest is not None and not _DIGEST.fullmatch(digest):
        return user_error([*path, "compareDigest"], "The compareDigest is invalid.", "INVALID_COMPARE_DIGEST")
    return None if digest == (existing and existing.compare_digest) else user_error(path, STALE, "STALE_OBJECT")


def _type(row: Mapping[str, Any], existing: MetafieldRecord | None) -> str | None:
    """A metafield keeps its type where none is sent, and no definition can tell."""
    return row.get("type") or (existing.type if existing else None)


def _apply(info: Info, row: Mapping[str, Any]) -> MetafieldRecord:
    customer = info.context.state.customers[parse_gid(row["ownerId"])[1]]
    namespace, key, value = _namespace(row.get("namespace")), row["key"], row["value"]
    existing = customer.metafields.get((namespace, key))
    definition = info.context.state.definitions.get((namespace, key))
    type_ = definition.type if definition else _type(row, existing) or ""
    value = _stored(value, type_)
    before = existing.value if existing else None
    journal(info, None, ("metafield", customer.id, f"{namespace}.{key}"), before, value)
    if existing is not None and (existing.value, existing.type) == (value, type_):
        return existing
    return info.context.state.change_metafield(customer.id, namespace, key, value, type_)


METAFIELD_MUTATIONS: dict[str, Resolver] = {"metafieldsSet": _set_metafields}
