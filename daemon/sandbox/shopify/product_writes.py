"""The mutation that sets prices."""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from daemon.sandbox.shopify.common_fields import Resolver
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.idempotency import Payload
from daemon.sandbox.shopify.mutation import check_size, journal
from daemon.sandbox.shopify.records import Product, Variant
from daemon.sandbox.shopify.values import Path, parse_gid, user_error

_CENT = Decimal("0.01")


def _update_variants(_: object, info: Info, **arguments: Any) -> Payload:
    """Without `allowPartialUpdates` all of the variants or none; with it those that fit."""
    check_size("variants", arguments["variants"])
    kind, product_id = parse_gid(arguments["productId"])
    product = info.context.state.products.get(product_id) if kind == "Product" else None
    if product is None:
        error = user_error(["productId"], "Product does not exist", "PRODUCT_DOES_NOT_EXIST")
        return {"userErrors": [error]}
    updates, errors = _understood(product, arguments["variants"])
    if errors and not arguments.get("allowPartialUpdates"):
        return {"product": product, "userErrors": errors}
    for variant, asked in updates:
        _apply(info, variant, asked)
    return {"product": product, "productVariants": [variant for variant, _ in updates], "userErrors": errors}


def _understood(
    product: Product, rows: list[Mapping[str, Any]]
) -> tuple[list[tuple[Variant, Mapping[str, Any]]], list[dict[str, Any]]]:
    """The rows that fit, each with its variant, and what is wrong with the others."""
    variants = {variant.id: variant for variant in product.variants}
    updates, errors = [], []
    for index, row in enumerate(rows):
        variant, wrong = _variant(variants, index, row)
        wrong += _price_errors(index, row)
        errors += wrong
        if variant is not None and not wrong:
            updates.append((variant, row))
    return updates, errors


def _variant(
    variants: Mapping[int, Variant], index: int, row: Mapping[str, Any]
) -> tuple[Variant | None, list[dict[str, Any]]]:
    path: Path = ["variants", index, "id"]
    if row.get("id") is None:
        return None, [user_error(path, "Product variant is missing ID attribute", "PRODUCT_VARIANT_ID_MISSING")]
    kind, number = parse_gid(row["id"])
    variant = variants.get(number) if kind == "ProductVariant" else None
    if variant is None:
        return None, [user_error(path, "Product variant does not exist", "PRODUCT_VARIANT_DOES_NOT_EXIST")]
    return variant, []


def _price_errors(index: int, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for field, label in (("price", "Price"), ("compareAtPrice", "Compare at price")):
        path: Path = ["variants", index, field]
        if field not in row or (row[field] is None and field == "compareAtPrice"):
            continue
        if row[field] is None:
            yield user_error(path, f"{label} can't be blank", "BLANK")
            continue
        try:
            amount = _amount(row[field])
        except InvalidOperation:
            yield user_error(path, f"{label} is not a number", "INVALID_INPUT")
            continue
        if amount < 0:
            message = f"{label} must be greater than or equal to 0"
            yield user_error(path, message, "GREATER_THAN_OR_EQUAL_TO")


def _amount(value: object) -> Decimal:
    """A Money as sent, rounded to two digits as Shopify stores it; raises InvalidOperation."""
    amount = Decimal(str(value))
    if not amount.is_finite():
        raise InvalidOperation(value)
    rounded = amount.quantize(_CENT)
    return rounded if rounded != rounded.to_integral_value() else rounded.quantize(Decimal(1))


def _kept(amount: Decimal, step: Decimal) -> Decimal:
    """What the shop makes of an amount that is finer than what it keeps."""
    return amount if amount % step == 0 else amount // step * step


def _apply(info: Info, variant: Variant, asked: Mapping[str, Any]) -> None:
    old_price, old_compare_at = price, compare_at = variant.price, variant.compare_at_price
    step = info.context.state.price_step
    if "price" in asked:
        price = _kept(_amount(asked["price"]), step)
        journal(info, None, ("price", variant.id), old_price, price)
    if "compareAtPrice" in asked:
        compare_at = None if asked["compareAtPrice"] is None else _kept(_amount(asked["compareAtPrice"]), step)
        journal(info, None, ("compare_at_price", variant.id), old_compare_at, compare_at)
    if (price, compare_at) != (old_price, old_compare_at):
        info.context.state.change_price(variant.id, price, compare_at)


PRODUCT_MUTATIONS: dict[str, Resolver] = {"productVariantsBulkUpdate": _update_variants}
