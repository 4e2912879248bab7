"""Which scopes an app needs to see what, and the refusal where it has none of them."""

from collections.abc import Iterable

from graphql import GraphQLError, GraphQLNamedType

READ_SCOPES = ("read_products", "read_inventory", "read_customers", "read_locations")
WRITE_SCOPES = ("write_products", "write_inventory", "write_customers")
ALL_SCOPES = READ_SCOPES + WRITE_SCOPES

TYPE_ACCESS: dict[str, tuple[str, ...]] = {
    "Product": ("read_products",),
    "ProductVariant": ("read_products",),
    "Collection": ("read_products",),
    "InventoryItem": ("read_inventory", "read_products"),
    "InventoryLevel": ("read_inventory",),
    "Location": ("read_locations", "read_inventory", "read_markets_home"),
    "Customer": ("read_customers",),
    "InventoryAdjustmentGroup": ("read_inventory",),
    "InventoryChange": ("read_inventory",),
}
"""Any one of the scopes opens the type, and its lists. From `requiredAccess` in Shopify's schema."""

FIELD_ACCESS: dict[tuple[str, str], tuple[str, ...]] = {
    ("QueryRoot", "productsCount"): ("read_products",),
    ("QueryRoot", "productVariantsCount"): ("read_products",),
    ("QueryRoot", "customersCount"): ("read_customers",),
    ("Mutation", "inventoryActivate"): ("write_inventory",),
    ("Mutation", "inventoryBulkToggleActivation"): ("write_inventory",),
    ("Mutation", "inventorySetQuantities"): ("write_inventory",),
    ("Mutation", "productVariantsBulkUpdate"): ("write_products",),
}

SCOPE_DESCRIPTIONS = {
    "read_products": "Read products, variants, and collections",
    "read_inventory": "Read inventory",
    "read_customers": "Read customer details and customer groups",
    "read_locations": "Read locations",
    "write_products": "Modify products, variants, and collections",
    "write_inventory": "Modify inventory",
    "write_customers": "Modify customer details and customer groups",
}


def required_scopes(parent: str, field: str, returned: GraphQLNamedType) -> tuple[str, ...]:
    """The scopes of which a field needs one; none where it is open to all."""
    return FIELD_ACCESS.get((parent, field)) or TYPE_ACCESS.get(returned.name.removesuffix("Connection"), ())


def check_access(field: str, required: Iterable[str], granted: frozenset[str]) -> None:
    """Raise the GraphQLError of a field that is out of reach; writing a thing includes reading it."""
    required = tuple(required)
    if not required or any({scope, scope.replace("read_", "write_")} & granted for scope in required):
        return
    wording = f"{_one_of([f'`{scope}` access scope' for scope in required])}."
    raise GraphQLError(
        f"Access denied for {field} field. Required access: {wording}",
        extensions={
            "code": "ACCESS_DENIED",
            "documentation": "https://shopify.dev/api/usage/access-scopes",
            "requiredAccess": wording,
        },
    )


def _one_of(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
