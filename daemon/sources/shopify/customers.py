"""Customers out of an answer, each along with the metafields that are pushed there."""

from typing import Any

import orjson

from daemon.sources.decode import RowDecoder, UnfitRowError
from daemon.sources.page import BadRow, SourceRow
from daemon.sources.shopify.models import CustomerMetafields, Metafield, ShopifyCustomer, dec_hook, metafield_name
from daemon.sources.shopify.products import shopify_id


class CustomerReader:
    """Reads customers and the metafields of these names.

    Raises:
        ValueError: a name of a metafield is not "namespace.key".
    """

    def __init__(self, names: CustomerMetafields) -> None:
        self._aliases = {"totalSpentMetafield": names.total_spent, "tierMetafield": names.tier}
        self._customers = RowDecoder(ShopifyCustomer, dec_hook=dec_hook, source_id=shopify_id)
        self._metafields = RowDecoder(Metafield)
        spent_namespace, spent_key = metafield_name(names.total_spent)
        tier_namespace, tier_key = metafield_name(names.tier)
        self.variables = {
            "totalSpentNamespace": spent_namespace,
            "totalSpentKey": spent_key,
            "tierNamespace": tier_namespace,
            "tierKey": tier_key,
        }

    async def read(self, nodes: list[Any]) -> tuple[list[SourceRow[ShopifyCustomer]], list[BadRow]]:
        """Typed customers, and those that don't fit. A row's document is the customer without the metafields."""
        good: list[SourceRow[ShopifyCustomer]] = []
        bad: list[BadRow] = []
        for node in nodes:
            try:
                good.append(self._customer(node))
            except UnfitRowError as error:
                bad.append(self._customers.bad(orjson.dumps(node), str(error)))
        return good, bad

    def _customer(self, node: Any) -> SourceRow[ShopifyCustomer]:
        if not isinstance(node, dict):
            raise UnfitRowError("The row is not an object.")
        document = orjson.dumps({name: value for name, value in node.items() if name not in self._aliases})
        customer = self._customers.checked(document)
        customer.metafields = {name: self._metafield(node, alias, name) for alias, name in self._aliases.items()}
        return SourceRow(customer, document)

    def _metafield(self, node: dict[str, Any], alias: str, name: str) -> Metafield | None:
        if alias not in node:  # it was asked for, so that null alone means that it is not set
            raise UnfitRowError(f"The metafield {name} is missing.")
        if node[alias] is None:
            return None
        try:
            return self._metafields.checked(orjson.dumps(node[alias]))
        except UnfitRowError as error:
            raise UnfitRowError(f"Metafield {name}: {error}") from error
