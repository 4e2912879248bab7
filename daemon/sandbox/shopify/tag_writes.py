"""The mutations that add and remove tags of customers and products."""

from collections.abc import Callable, Iterable
from typing import Any

from daemon.sandbox.shopify.common_fields import Resolver
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.idempotency import Payload
from daemon.sandbox.shopify.mutation import check_size, check_write_access, journal
from daemon.sandbox.shopify.records import CustomerRecord, Product
from daemon.sandbox.shopify.values import parse_gid, user_error

LONGEST_TAG = 255
MAX_TAGS = 250

_Combine = Callable[[list[str], list[str]], list[str]]


def _changing(combine: _Combine) -> Resolver:
    def resolve(_: object, info: Info, **arguments: Any) -> Payload:
        check_size("tags", arguments["tags"])
        kind, number = parse_gid(arguments["id"])
        check_write_access(info, kind)
        record = _record(info, kind, number)
        if record is None:
            return {"userErrors": [user_error(["id"], f"{kind} does not exist")]}
        asked = _split(arguments["tags"])
        tags = combine(record.tags, asked)
        if any(len(tag) > LONGEST_TAG for tag in asked):
            return {"userErrors": [user_error(["tags"], f"Tags can't be longer than {LONGEST_TAG} characters")]}
        if len(tags) > max(MAX_TAGS, len(record.tags)):
            return {"userErrors": [user_error(["tags"], f"Tags can't exceed {MAX_TAGS}")]}
        _apply(info, record, tags)
        return {"node": record, "userErrors": []}

    return resolve


def _record(info: Info, kind: str, number: int) -> CustomerRecord | Product | None:
    match kind:
        case "Customer":
            return info.context.state.customers.get(number)
        case "Product":
            return info.context.state.products.get(number)
        case _:
            return None


def _split(tags: Iterable[str]) -> list[str]:
    """Shopify's schema: an element may hold several tags, separated by commas."""
    return [tag.strip() for text in tags for tag in text.split(",") if tag.strip()]


def _with(tags: list[str], added: list[str]) -> list[str]:
    """`tags` and the `added` ones; one that differs in case only is there already, and stays as it is spelt."""
    spelt: dict[str, str] = {}
    for tag in [*tags, *added]:
        spelt.setdefault(tag.casefold(), tag)
    return [spelt[folded] for folded in sorted(spelt)]


def _without(tags: list[str], removed: list[str]) -> list[str]:
    gone = {tag.casefold() for tag in removed}
    return [tag for tag in tags if tag.casefold() not in gone]


def _apply(info: Info, record: CustomerRecord | Product, tags: list[str]) -> None:
    """Shopify keeps tags in alphabetical order: another order alone is no change."""
    before, after = tuple(sorted(record.tags, key=str.casefold)), tuple(tags)
    subject = "tags" if isinstance(record, CustomerRecord) else "product_tags"
    journal(info, None, (subject, record.id), before, tuple(sorted(after, key=str.casefold)))
    if set(before) == set(after):
        return
    if isinstance(record, CustomerRecord):
        info.context.state.change_customer(record.id, tags=tags)
    else:
        info.context.state.change_tags(record.id, tags)


TAG_MUTATIONS: dict[str, Resolver] = {"tagsAdd": _changing(_with), "tagsRemove": _changing(_without)}
