"""What a person may mean by the text that they ask about: a code, an id of either side, an address out of a browser."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, parse_qs, urlsplit

from daemon.i18n import gettext as _
from daemon.i18n import mark
from daemon.mirror.keys import match_key, why_no_key
from daemon.texts import visible

LONGEST_MENTION = 100  # characters
IDS = range(1, 2**63)  # bigint
KNOWN = mark(
    "give an SKU, a barcode, the id or the admin's address of a product or variant of Shopify, or an id "
    "or code of Nhanh.vn"
)
ADMIN_HOST, SHOP_SUFFIX = "admin.shopify.com", ".myshopify.com"

# https://shopify.dev/docs/api/usage/gids
_GLOBAL_ID = re.compile(r"gid://shopify/(?P<kind>\w+)/(?P<number>[0-9]+)(?:\?(?P<query>.*))?", re.ASCII | re.DOTALL)
_WEB = re.compile(
    rf"(?:https?://|{re.escape(ADMIN_HOST)}/|[a-z0-9-]+{re.escape(SHOP_SUFFIX)}/)", re.ASCII | re.IGNORECASE
)
# In the admin's addresses and in global ids; what else there is, is called by its own name.
_OTHERS = {
    "customer": mark("a customer"),
    "customers": mark("a customer"),
    "order": mark("an order"),
    "orders": mark("an order"),
    "draftorder": mark("a draft order"),
    "draft_orders": mark("a draft order"),
    "location": mark("a location"),
    "locations": mark("a location"),
    "collection": mark("a collection"),
    "collections": mark("a collection"),
    "inventorylevel": mark("a stock level"),
}


class NotExplained(ValueError):
    """The text means something that has no stock and no price here; the text of the error is a sentence for people."""


@dataclass(frozen=True, slots=True)
class SearchTerms:
    """What to look for, each on its own; None where the text can't be that.

    Args:
        code: an SKU or barcode of either side, as it was given.
        variant_id, product_id, item_id: of Shopify; the item is that of the inventory.
        nhanh_id: of a product of Nhanh.vn.
    """

    code: str | None = None
    variant_id: int | None = None
    product_id: int | None = None
    item_id: int | None = None
    nhanh_id: int | None = None

    @classmethod
    def of_number(cls, number: int | None, code: str | None = None) -> Self:
        """What may be an id of anything."""
        return cls(code, number, number, number, number)

    @property
    def key(self) -> str | None:
        """The code as codes are compared; None where it identifies nothing."""
        return match_key(self.code)

    @property
    def no_key_reason(self) -> str | None:
        """Why the code identifies nothing, to follow its mention; None where it does, or there is none."""
        return why_no_key(self.code)

    @property
    def has_id(self) -> bool:
        """Whether it may be an id."""
        return any(number is not None for number in (self.variant_id, self.product_id, self.item_id, self.nhanh_id))


def read_search_terms(text: str, shop: str | None) -> SearchTerms:
    """What the text may mean. Digits may be all of it at once; `sku:` or `id:` before them says which.

    Args:
        text: as a person has pasted it.
        shop: the handle of the store's shop; None where it is not known.

    Raises:
        NotExplained: it is the id or address of something else, or of another shop.
    """
    bare = visible(text).strip()
    if bare.lower().startswith("gid:"):
        return _of_global_id(bare)
    if _WEB.match(bare):
        return _of_address(bare, shop)
    kind, colon, rest = bare.partition(":")
    match kind.lower() if colon else "":
        case "sku":
            return SearchTerms(rest)
        case "id":
            return SearchTerms.of_number(_id(rest.strip()))
        case _:
            return SearchTerms.of_number(_id(bare), bare)


def shown(text: str) -> str:
    """What was asked for, as sentences name it: in one short piece, as it is looked for."""
    text = visible(text).strip()
    return text if len(text) <= LONGEST_MENTION else f"{text[: LONGEST_MENTION - 1]}…"


def _of_global_id(text: str) -> SearchTerms:
    found = _GLOBAL_ID.fullmatch(text)
    if found is None:
        raise NotExplained(
            _("{text} is not a valid id of Shopify's: {known}.").format(text=shown(text), known=_(KNOWN))
        )
    number = _id(found["number"])
    match found["kind"]:
        case "ProductVariant":
            return SearchTerms(variant_id=number)
        case "Product":
            return SearchTerms(product_id=number)
        case "InventoryItem":
            return SearchTerms(item_id=number)
        case "InventoryLevel" if (item := _queried(found["query"], "inventory_item_id")) is not None:
            return SearchTerms(item_id=item)
        case other:
            raise _other(text, other)


def _of_address(text: str, shop: str | None) -> SearchTerms:
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
    except ValueError:  # such as of a bracket that does not close
        raise NotExplained(
            _("{text} is not a valid address: {known}.").format(text=shown(text), known=_(KNOWN))
        ) from None
    handle, path = _shop_and_path(parts)
    if handle is not None and shop is not None and handle != shop:
        raise NotExplained(
            _(
                "{text} belongs to the shop {handle}, and this store's shop is {shop}: ask in the store of that shop."
            ).format(text=shown(text), handle=handle, shop=shop)
        )
    match path:
        case ["products", _, "variants", number, *_] if _id(number) is not None:
            return SearchTerms(variant_id=_id(number))
        case ["products", *_] if (queried := _queried(parts.query, "variant")) is not None:  # what a customer sees
            return SearchTerms(variant_id=queried)
        case ["products", number, *_] if _id(number) is not None:
            return SearchTerms(product_id=_id(number))
        case ["products", *_]:
            raise NotExplained(
                _("{text} is an address of products without an id: {known}.").format(text=shown(text), known=_(KNOWN))
            )
        case [kind, *_] if kind in _OTHERS:
            raise _other(text, kind)
        case _:
            raise NotExplained(
                _("{text} is the address of something unknown here: {known}.").format(text=shown(text), known=_(KNOWN))
            )


def _shop_and_path(parts: SplitResult) -> tuple[str | None, list[str]]:
    """The shop's handle where the address names it, and the path within the shop."""
    host, path = (parts.hostname or "").lower(), [part for part in parts.path.split("/") if part]
    if host == ADMIN_HOST:
        match path:
            case ["store", handle, *rest]:
                return handle.lower(), rest
            case _:
                return None, path
    if "products" in path:  # a customer may have come to it by a language and a collection
        path = path[path.index("products") :]
    elif path[:1] == ["admin"]:
        path = path[1:]
    return host.removesuffix(SHOP_SUFFIX) if host.endswith(SHOP_SUFFIX) else None, path


def _queried(query: str | None, name: str) -> int | None:
    return next((number for value in parse_qs(query or "").get(name, []) if (number := _id(value))), None)


def _other(text: str, kind: str) -> NotExplained:
    known = _OTHERS.get(kind.lower())
    what = _(known) if known is not None else _("of the kind {kind}").format(kind=kind)
    return NotExplained(
        _("{text} is {what}, and only the stock and prices of variants are explained: {known}.").format(
            text=shown(text), what=what, known=_(KNOWN)
        )
    )


def _id(text: str) -> int | None:
    """The text as an id, if it can be one."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
    return number if number in IDS else None
