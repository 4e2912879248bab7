"""Which products a collection has right now."""

from dataclasses import dataclass
from typing import Any

from daemon.errors import SourceUnavailable
from daemon.i18n import gettext as _
from daemon.sources.decode import UnfitRowError
from daemon.sources.meter import CallMeter
from daemon.sources.shopify import operations
from daemon.sources.shopify.endpoint import GraphqlEndpoint, whole_page
from daemon.sources.shopify.models import gid, gid_number
from daemon.sources.shopify.shape import MAX_PAGE, PageShape

ROW_COST = 14.0 / MAX_PAGE  # points; by Shopify's formula for a collection and a connection of 250


@dataclass(frozen=True, slots=True)
class CollectionProducts:
    """A collection with the ids of its products, ascending."""

    id: int
    handle: str
    title: str
    product_ids: tuple[int, ...]


class CollectionReader:
    """Reads what is in a collection.

    An answer that can't be read is an error here, not a dead letter: what is read decides what is written.
    """

    def __init__(self, endpoint: GraphqlEndpoint) -> None:
        self._endpoint = endpoint
        self._collection_pages = PageShape(MAX_PAGE)

    async def collection_products(self, reference: str, *, meter: CallMeter) -> CollectionProducts | None:
        """A collection and all its products, in as many calls as it takes; None if there is no such collection.

        `reference` is its handle, or its id if it has digits only.

        Raises:
            SourceRefused, RateLimited, SourceUnavailable: after the retries.
        """
        found: dict[int, None] = {}  # in order, each once: what is added meanwhile may appear on two pages
        identifier, cursor = _identifier(reference), None
        while True:
            page = await self._page(identifier, cursor, meter)
            if page is None:  # there is none, or it was deleted while its pages were read
                return None
            (number, handle, title), product_ids, following = page
            found |= dict.fromkeys(product_ids)
            if following is None:
                return CollectionProducts(number, handle, title, tuple(found))
            if following == cursor:
                raise SourceUnavailable(
                    _("Reading the collection {reference} of {source} stopped: its pages repeat.").format(
                        reference=reference, source=self._endpoint.source
                    )
                )
            # By id from now on: the handle may pass to another collection in the meantime.
            identifier, cursor = {"id": gid("Collection", number)}, following

    async def _page(
        self, identifier: dict[str, str], cursor: str | None, meter: CallMeter
    ) -> tuple[tuple[int, str, str], list[int], str | None] | None:
        """The collection, the ids of its products on this page, and where the next one is.

        None: there is no such collection, which is believed once it is said twice.
        """
        absences = 0

        def read(data: dict[str, Any]) -> tuple[tuple[int, str, str], list[int], str | None] | None:
            nonlocal absences
            collection = data["collectionByIdentifier"]
            if collection is None:
                absences += 1
                if absences > 1:
                    return None
            nodes, following = whole_page(collection["products"])
            named = _id(collection), str(collection["handle"]), str(collection["title"])
            return named, [_id(node) for node in nodes], following

        variables = {"identifier": identifier, "after": cursor}
        page, _cost = await self._endpoint.shaped(
            operations.COLLECTION_PRODUCTS, variables, self._collection_pages, meter, read=read, row_cost=ROW_COST
        )
        return page


def _identifier(reference: str) -> dict[str, str]:
    wanted = reference.strip()
    is_id = wanted.isascii() and wanted.isdigit()
    return {"id": gid("Collection", int(wanted))} if is_id else {"handle": wanted}


def _id(node: dict[str, Any]) -> int:
    number = gid_number(node["id"])
    if number is None:
        raise UnfitRowError(_("The field id is not a Shopify id."))
    return number
