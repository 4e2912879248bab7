"""Where the fields of products and variants get their values from."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from daemon.sandbox.shopify.common_fields import Resolver, count_of, identified, money_of, page_of
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.inventory_fields import StockedItem
from daemon.sandbox.shopify.listings import sorted_listing, variant_sort_value
from daemon.sandbox.shopify.paging import ConnectionPage
from daemon.sandbox.shopify.records import Product, Variant
from daemon.sandbox.shopify.values import gid, plain_text, written_money, written_time


@dataclass(frozen=True, slots=True)
class MediaImage:
    """A product's picture."""

    product: Product


def _options(product: Product, _: Info, first: int | None = None) -> list[dict[str, Any]]:
    options = []
    for index, name in enumerate(product.option_names[:first]):
        values = list(dict.fromkeys(variant.option_values[index] for variant in product.variants))
        option_id = product.id * 10 + index
        listed = [
            {"id": gid("ProductOptionValue", option_id * 10_000 + number), "name": value, "hasVariants": True}
            for number, value in enumerate(values)
        ]
        option = {"id": gid("ProductOption", option_id), "name": name, "position": index + 1}
        options.append(option | {"values": values, "optionValues": listed})
    return options


def _variants(product: Product, info: Info, **arguments: Any) -> ConnectionPage[Variant]:
    sort_value = variant_sort_value(arguments.get("sortKey") or "POSITION")
    return page_of(
        info, sorted_listing(product.variants, sort_value, reverse=bool(arguments.get("reverse"))), arguments
    )


def _price_range(product: Product, info: Info) -> dict[str, Any]:
    prices = [variant.price for variant in product.variants] or [Decimal(0)]
    return {"minVariantPrice": money_of(info, min(prices)), "maxVariantPrice": money_of(info, max(prices))}


def _image(product: Product) -> dict[str, Any]:
    return {"id": gid("ImageSource", product.id), "url": product.image_url, "altText": product.image_alt}


def _selected_options(variant: Variant, info: Info) -> list[dict[str, str]]:
    names = info.context.state.products[variant.product_id].option_names
    return [{"name": name, "value": value} for name, value in zip(names, variant.option_values, strict=True)]


def _display_name(variant: Variant, info: Info) -> str:
    title: str = info.context.state.products[variant.product_id].title
    return f"{title} - {variant.title}"


def _for_sale(variant: Variant) -> bool:
    return not variant.tracked or variant.inventory_policy == "CONTINUE" or variant.inventory_quantity > 0


def _has_only_default(product: Product, _: Info) -> bool:
    return len(product.variants) == 1 and product.variants[0].title == "Default Title"


PRODUCT: dict[str, Resolver] = {
    **identified("Product"),
    "description": lambda p, _, **arguments: plain_text(p.description_html)[: arguments.get("truncateAt")],
    "featuredMedia": lambda p, _: MediaImage(p) if p.image_url else None,
    "hasOnlyDefaultVariant": _has_only_default,
    "hasOutOfStockVariants": lambda p, _: any(v.tracked and v.inventory_quantity <= 0 for v in p.variants),
    "options": _options,
    "priceRangeV2": _price_range,
    "publishedAt": lambda p, _: written_time(p.published_at),
    "seo": lambda p, _: {"title": p.seo_title, "description": p.seo_description},
    "tracksInventory": lambda p, _: any(v.tracked for v in p.variants),
    "variants": _variants,
    "variantsCount": lambda p, _: count_of(len(p.variants)),
}

VARIANT: dict[str, Resolver] = {
    **identified("ProductVariant"),
    "availableForSale": lambda v, _: _for_sale(v),
    "compareAtPrice": lambda v, info: written_money(v.compare_at_price, info.context.profile.currency),
    "displayName": _display_name,
    "inventoryItem": lambda v, _: StockedItem(v),
    "price": lambda v, info: written_money(v.price, info.context.profile.currency),
    "product": lambda v, info: info.context.state.products[v.product_id],
    "selectedOptions": _selected_options,
    "sellableOnlineQuantity": lambda v, _: v.inventory_quantity,
}

MEDIA_IMAGE: dict[str, Resolver] = {
    "alt": lambda media, _: media.product.image_alt,
    "id": lambda media, _: gid("MediaImage", media.product.id),
    "image": lambda media, _: _image(media.product),
    "preview": lambda media, _: {"image": _image(media.product)},
}
