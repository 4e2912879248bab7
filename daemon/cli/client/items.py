"""The endpoint's routes for items and customers, as methods."""

from collections.abc import Mapping, Sequence

from daemon.api.customers import (
    CustomerEntry,
    CustomerList,
    CustomerOutcome,
    RemoveCustomersBody,
    SetCustomersBody,
)
from daemon.api.items import Item, ItemList
from daemon.api.mappings import Removed
from daemon.cli.client.daemon import DaemonClient, given


class ItemsClient:
    """What a daemon can be asked about single items and customers of a store; errors are those of `DaemonClient`."""

    def __init__(self, client: DaemonClient, store: str) -> None:
        self._daemon = client
        self._store = store

    async def items(self, search: str | None, *, state: str | None, limit: int) -> ItemList:
        """At most `limit` items that a text may mean, or that are in a state."""
        query = given(store=self._store, q=search, state=state, limit=str(limit))
        return await self._daemon.ask(ItemList, "GET", "/api/items", query=query)

    async def item(self, variant_id: int) -> Item:
        """One variant."""
        return await self._daemon.ask(Item, "GET", f"/api/items/{variant_id}", query={"store": self._store})

    async def customers(self, search: str | None, *, state: str | None, limit: int) -> CustomerList:
        """At most `limit` customers whom a text may mean, or who are in a state."""
        query = given(store=self._store, q=search, state=state, limit=str(limit))
        return await self._daemon.ask(CustomerList, "GET", "/api/customers", query=query)

    async def set_customers(self, decisions: Mapping[int, int | None], note: str | None) -> CustomerOutcome:
        """Decide who customers are, {id at Shopify: id at Nhanh.vn or None}; at most 500, all or none."""
        body = SetCustomersBody(self._store, [CustomerEntry(*decision) for decision in decisions.items()], note)
        return await self._daemon.ask(CustomerOutcome, "POST", "/api/customer-mappings", body=body)

    async def remove_customers(self, shopify_ids: Sequence[int]) -> int:
        """Take back decisions about at most 500 customers; how many there were."""
        body = RemoveCustomersBody(self._store, list(shopify_ids))
        return (await self._daemon.ask(Removed, "POST", "/api/customer-mappings/remove", body=body)).removed
