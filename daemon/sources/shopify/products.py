"""Products out of an answer, each along with its variants."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from daemon.sources.decode import RowDecoder, UnfitRowError
from daemon.sources.page import BadRow, SourceRow
from daemon.sources.shopify.models import ShopifyProduct, ShopifyVariant, dec_hook, gid_number

MoreVariants = Callable[[str, str], Awaitable[list[Any]]]


def shopify_id(value: object) -> str | None:
    """The number of a global id as text, for a dead letter."""
    number = gid_number(value)
    return str(number) if number is not None else None


class ProductReader:
    """Reads products; `more_variants` fetches those behind a product's (global id, cursor)."""

    def __init__(self, more_variants: MoreVariants) -> None:
        self._more_variants = more_variants
        self._products = RowDecoder(ShopifyProduct, dec_hook=dec_hook, source_id=shopify_id)
        self._variants = RowDecoder(ShopifyVariant, dec_hook=dec_hook, source_id=shopify_id)

    async def read(self, nodes: list[Any]) -> tuple[list[SourceRow[ShopifyProduct]], list[BadRow]]:
        """Typed products with all their variants, and those that don't fit.

        A product with a variant that doesn't fit doesn't either: half a product would look like deleted variants.
        A row's document is the product without `variants`; each variant has its own.
        """
        good: list[SourceRow[ShopifyProduct]] = []
        bad: list[BadRow] = []
        for node in nodes:
            try:
                good.append(await self._product(node))
            except UnfitRowError as error:
                bad.append(self._products.bad(orjson.dumps(node), str(error)))
        return good, bad

    async def _product(self, node: Any) -> SourceRow[ShopifyProduct]:
        if not isinstance(node, dict):
            raise UnfitRowError("The row is not an object.")
        document = orjson.dumps({name: value for name, value in node.items() if name != "variants"})
        product = self._products.checked(document)
        product.variants = [self._variant(variant) for variant in await self._all_variants(node)]
        return SourceRow(product, document)

    async def _all_variants(self, node: dict[str, Any]) -> list[Any]:
        connection = node.get("variants")
        if not isinstance(connection, dict) or not isinstance(connection.get("nodes"), list):
            raise UnfitRowError("The field variants is missing.")
        following = next_cursor(connection)
        more = await self._more_variants(node["id"], following) if following is not None else []
        return [*connection["nodes"], *more]

    def _variant(self, node: Any) -> ShopifyVariant:
        document = orjson.dumps(node)
        try:
            variant = self._variants.checked(document)
        except UnfitRowError as error:
            identifier = shopify_id(node.get("id")) if isinstance(node, dict) else None
            raise UnfitRowError(f"Variant {identifier or 'without a readable id'}: {error}") from error
        variant.document = document
        return variant


def next_cursor(connection: dict[str, Any]) -> str | None:
    """Where to go on behind this page of a connection; None: this was its last."""
    info = connection.get("pageInfo")
    if not isinstance(info, dict) or not info.get("hasNextPage"):
        return None
    cursor = info.get("endCursor")
    return cursor if isinstance(cursor, str) else None
