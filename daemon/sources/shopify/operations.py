"""The GraphQL operations, read once from the `.graphql` files in `operations/`, each with the fragments it needs.

The queries in `operations/bulk/` are not sent by themselves, but run in bulk, where connections are written
differently: there, a fragment takes the place of the one of the same name for pages.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

_SPREAD = re.compile(r"\.\.\.\s*(?!on\b)([A-Za-z_]\w*)")
_FRAGMENT = re.compile(r"^fragment (\w+) on ", re.MULTILINE)
_FOLDER = resources.files(__package__).joinpath("operations")
_OPERATION = re.compile(r"^(?:query|mutation) (\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class GraphqlOperation:
    """A named query or mutation, ready to send."""

    name: str
    document: str


def load_operations() -> dict[str, GraphqlOperation]:
    """All operations by the name of their file, without its extension."""
    files = _files(_FOLDER)
    fragments = _fragments(files)
    return {
        name: GraphqlOperation(match[1], _with_fragments(text, fragments))
        for name, text in files.items()
        if (match := _OPERATION.search(text))
    }


def load_bulk_queries() -> dict[str, GraphqlOperation]:
    """All queries to be run in bulk by the name of their file, without its extension.

    Whether such a query may have fragments is not documented, so it has the fields of its fragments instead.
    """
    files = _files(_FOLDER.joinpath("bulk"))
    fragments = _fragments(_files(_FOLDER)) | _fragments(files)
    return {
        name: GraphqlOperation(match[1], _with_fields(text, fragments))
        for name, text in files.items()
        if (match := _OPERATION.search(text))
    }


def _files(folder: Traversable) -> dict[str, str]:
    return {
        entry.name.removesuffix(".graphql"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".graphql")
    }


def _fragments(files: Mapping[str, str]) -> dict[str, str]:
    return {match[1]: text for text in files.values() if (match := _FRAGMENT.search(text))}


def _with_fields(text: str, fragments: Mapping[str, str]) -> str:
    """The text with the fields of a fragment in the place of each spread."""

    def fields(spread: re.Match[str]) -> str:
        fragment = fragments[spread[1]]
        return _with_fields(fragment[fragment.index("{") + 1 : fragment.rindex("}")].strip(), fragments)

    return _SPREAD.sub(fields, text)


def _with_fragments(text: str, fragments: dict[str, str]) -> str:
    needed: dict[str, str] = {}
    open_texts = [text]
    while open_texts:
        for name in _SPREAD.findall(open_texts.pop()):
            if name not in needed:
                needed[name] = fragments[name]
                open_texts.append(fragments[name])
    return "\n".join([text, *needed.values()])


OPERATIONS = load_operations()
BULK_QUERIES = load_bulk_queries()
PRODUCTS = OPERATIONS["products"]
PRODUCTS_BY_IDS = OPERATIONS["products_by_ids"]
PRODUCT_IDS = OPERATIONS["product_ids"]
PRODUCT_VARIANTS = OPERATIONS["product_variants"]
PRODUCT_CHANGES = OPERATIONS["product_changes"]
PRODUCT_HORIZON = OPERATIONS["product_horizon"]
PRODUCTS_COUNT = OPERATIONS["products_count"]
COLLECTION_PRODUCTS = OPERATIONS["collection_products"]
PRESENT_PRICES = OPERATIONS["present_prices"]
PRODUCT_VERSIONS = OPERATIONS["product_versions"]
CUSTOMERS = OPERATIONS["customers"]
CUSTOMERS_BY_IDS = OPERATIONS["customers_by_ids"]
CUSTOMER_IDS = OPERATIONS["customer_ids"]
CUSTOMER_CHANGES = OPERATIONS["customer_changes"]
CUSTOMER_HORIZON = OPERATIONS["customer_horizon"]
CUSTOMERS_COUNT = OPERATIONS["customers_count"]
LOCATIONS = OPERATIONS["locations"]
STOCK_LEVELS = OPERATIONS["stock_levels"]
MORE_LEVELS = OPERATIONS["more_levels"]
GRANTED_SCOPES = OPERATIONS["granted_scopes"]
SHOP = OPERATIONS["shop"]
SET_STOCK = OPERATIONS["set_stock"]
ACTIVATE_ITEM = OPERATIONS["activate_item"]
ACTIVATE_ITEM_AT = OPERATIONS["activate_item_at"]
SET_PRICES = OPERATIONS["set_prices"]
METAFIELD_DEFINITIONS = OPERATIONS["metafield_definitions"]
SET_METAFIELDS = OPERATIONS["set_metafields"]
ADD_TAGS = OPERATIONS["add_tags"]
REMOVE_TAGS = OPERATIONS["remove_tags"]
RUN_BULK_QUERY = OPERATIONS["run_bulk_query"]
BULK_OPERATION = OPERATIONS["bulk_operation"]
BULK_OPERATIONS = OPERATIONS["bulk_operations"]
CANCEL_BULK_OPERATION = OPERATIONS["cancel_bulk_operation"]
WEBHOOK_SUBSCRIPTIONS = OPERATIONS["webhook_subscriptions"]
CREATE_WEBHOOK_SUBSCRIPTION = OPERATIONS["create_webhook_subscription"]
UPDATE_WEBHOOK_SUBSCRIPTION = OPERATIONS["update_webhook_subscription"]
DELETE_WEBHOOK_SUBSCRIPTION = OPERATIONS["delete_webhook_subscription"]
PRODUCTS_IN_BULK = BULK_QUERIES["products"]
CUSTOMERS_IN_BULK = BULK_QUERIES["customers"]
