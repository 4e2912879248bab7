"""Products out of an answer, each along with its variants and their stock levels."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import orjson

from daemon.i18n import gettext as _
from daemon.sources.decode import RowDecoder, UnfitRowError
from daemon.sources.page import BadRow, SourceRow
from daemon.sources.shopify.endpoint import nodes_of, whole_page
from daemon.sources.shopify.levels import MoreLevels, read_levels
from daemon.sources.shopify.models import ShopifyProduct, ShopifyVariant, dec_hook, gid_number
from daemon.sources.shopify.partial import DENIED, Unreadable

VARIANTS_AT_ONCE = 25  # read without a break: some 2 ms

MoreVariants = Callable[[str, str], Awaitable[list[Any]]]


def shopify_id(value: object) -> str | None:
    """The number of a global id as text, for a dead letter."""
    number = gid_number(value)
    return str(number) if number is not None else None


def variants_of(products: Iterable[Any]) -> Iterator[Any]:
    """The variants that came with these products, as far as they can be read."""
    for product in products:
        yield from nodes_of(product.get("variants")) if isinstance(product, dict) else ()


def items_of(variants: Iterable[Any]) -> Iterator[Any]:
    """The inventory items that came with these variants, as far as they can be read."""
    return (variant.get("inventoryItem") for variant in variants if isinstance(variant, dict))


PRODUCTS = RowDecoder(ShopifyProduct, dec_hook=dec_hook, source_id=shopify_id)
VARIANTS = RowDecoder(ShopifyVariant, dec_hook=dec_hook, source_id=shopify_id)


class ProductReader:
    """Reads products; the two functions fetch what follows a (global id, cursor) of a product or inventory item."""

    def __init__(self, more_variants: MoreVariants, more_levels: MoreLevels) -> None:
        self._more_variants = more_variants
        self._more_levels = more_levels

    async def read(self, nodes: list[Any]) -> tuple[list[SourceRow[ShopifyProduct]], list[BadRow]]:
        """Typed products with all their variants, and those that don't fit.

        A product doesn't fit if one of its variants or stock levels doesn't: half a product would look like deleted
        variants. A row's document is the product without `variants`; each variant has its own.
        """
        good: list[SourceRow[ShopifyProduct]] = []
        bad: list[BadRow] = []
        for node in nodes:
            if isinstance(node, Unreadable):
                bad.append(PRODUCTS.bad(orjson.dumps(node.row, default=_plain), node.reason))
                continue
            try:
                good.append(await self._product(node))
            except UnfitRowError as error:
                bad.append(PRODUCTS.bad(orjson.dumps(node, default=_plain), str(error)))
        return good, bad

    async def _product(self, node: Any) -> SourceRow[ShopifyProduct]:
        if not isinstance(node, dict):
            raise UnfitRowError(_("The row is not an object."))
        if DENIED in node:
            raise UnfitRowError(_("Shopify keeps {fields} from the app.").format(fields=", ".join(node[DENIED])))
        document = orjson.dumps({name: value for name, value in node.items() if name != "variants"})
        product = PRODUCTS.checked(document)
        for place, variant in enumerate(await self._all_variants(node)):
            if place % VARIANTS_AT_ONCE == 0:
                await asyncio.sleep(0)  # others must have their turn: what was read in bulk takes a second or more
            product.variants.append(await self._variant(variant))
        return SourceRow(product, document)

    async def _all_variants(self, node: dict[str, Any]) -> list[Any]:
        connection = node.get("variants")
        if connection is None:
            raise UnfitRowError(_("The field variants is missing."))
        try:
            nodes, following = whole_page(connection)
        except ValueError as error:
            raise UnfitRowError(
                _("The variants are incomplete, or can't be read: {error}.").format(error=error)
            ) from error
        return nodes if following is None else [*nodes, *await self._more_variants(node["id"], following)]

    async def _variant(self, node: Any) -> ShopifyVariant:
        if isinstance(node, Unreadable):
            raise UnfitRowError(
                _("Variant {id}: {reason}").format(
                    id=shopify_id(node.row.get("id")) or _("without a readable id"), reason=node.reason
                )
            )
        document = orjson.dumps(_without_levels(node))
        try:
            variant = VARIANTS.checked(document)
            if variant.inventory_item is None:  # every variant has one: without it, its stock would be unknown
                raise UnfitRowError(_("The field inventoryItem is missing."))
            variant.levels = await read_levels(node["inventoryItem"], self._more_levels)
        except UnfitRowError as error:
            identifier = shopify_id(node.get("id")) if isinstance(node, dict) else None
            raise UnfitRowError(
                _("Variant {id}: {reason}").format(id=identifier or _("without a readable id"), reason=error)
            ) from error
        variant.document = document
        return variant


def _plain(part: Any) -> Any:
    """For what a row holds besides JSON: parts of it that could not be read."""
    if isinstance(part, Unreadable):
        return part.node
    raise TypeError(type(part))


def _without_levels(variant: Any) -> Any:
    item = variant.get("inventoryItem") if isinstance(variant, dict) else None
    if not isinstance(item, dict):
        return variant
    return variant | {"inventoryItem": {name: value for name, value in item.items() if name != "inventoryLevels"}}
