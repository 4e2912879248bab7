"""Which products a collection has at present."""

from dataclasses import dataclass
from typing import Any

from daemon.errors import SourceUnavailable
from daemon.sources.decode import UnfitRowError
from daemon.sources.meter import CallMeter
from daemon.sources.shopify import operations
from daemon.sources.shopify.endpoint import GraphqlEndpoint
from daemon.sources.shopify.models import gid, gid_number
from daemon.sources.shopify.shape import MAX_PAGE

PAGE_COST = 14.0  # points; by Shopify's formula for a collection and a connection of 250


@dataclass(frozen=True, slots=True)
class CollectionProducts:
    """A collection with the ids of its products, ascending."""

    id: int
    handle: str
    title: str
    product_ids: tuple[int, ...]


class CollectionReader:
    """Reads what is in a collection.

    An answer that can't be read is an error here and no dead letter: what is asked for decides what is written.
    """

    def __init__(self, endpoint: GraphqlEndpoint) -> None:
        self._endpoint = endpoint

    async def collection_products(self, reference: str, *, meter: CallMeter) -> CollectionProducts | None:
        """A collection and all its products, in as many calls as it takes; None if there is no such collection.

        `reference` is its handle, or its id if it has digits only.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        found: dict[int, None] = {}  # in order, and once: what is put in meanwhile may come on two pages
        identifier, cursor = _identifier(reference), None
        while True:
            collection = await self._page(identifier, cursor, meter)
            if collection is None:  # there is none, or it was deleted while its pages were read
                return None
            nodes, following = self._endpoint.connection(operations.COLLECTION_PRODUCTS, collection.get("products"))
            try:
                found |= dict.fromkeys(_id(node) for node in nodes)
                number, handle, title = _id(collection), str(collection["handle"]), str(collection["title"])
            except (KeyError, TypeError, UnfitRowError) as error:
                raise self._endpoint.unreadable(operations.COLLECTION_PRODUCTS) from error
            if following is None:
                return CollectionProducts(number, handle, title, tuple(found))
            if following == cursor:
                raise SourceUnavailable(
                    f"Reading the collection {reference} of {self._endpoint.source} goes round in a circle."
                )
            # By id from now on: a handle may come to stand for another collection in the meantime.
            identifier, cursor = {"id": gid("Collection", number)}, following

    async def _page(self, identifier: dict[str, str], cursor: str | None, meter: CallMeter) -> dict[str, Any] | None:
        variables = {"identifier": identifier, "first": MAX_PAGE, "after": cursor}
        data = await self._endpoint.query(operations.COLLECTION_PRODUCTS, variables, meter, estimate=PAGE_COST)
        collection = data.get("collectionByIdentifier", False)  # null is an answer, its absence is none
        if collection is not None and not isinstance(collection, dict):
            raise self._endpoint.unreadable(operations.COLLECTION_PRODUCTS)
        return collection


def _identifier(reference: str) -> dict[str, str]:
    wanted = reference.strip()
    is_id = wanted.isascii() and wanted.isdigit()
    return {"id": gid("Collection", int(wanted))} if is_id else {"handle": wanted}


def _id(node: dict[str, Any]) -> int:
    number = gid_number(node["id"])
    if number is None:
        raise UnfitRowError("The field id is no id of Shopify's.")
    return number
