"""Shows what prices would turn into: a few products with and without VAT, and which figure the shop gets."""

from contextlib import aclosing
from decimal import Decimal

from daemon.api.findings import Finding, failed, ok, warning
from daemon.config import StoreSettings
from daemon.errors import SourceError
from daemon.i18n import gettext as _
from daemon.money import Currency, Money
from daemon.sources.meter import CallMeter
from daemon.sources.nhanh.client import NhanhClient
from daemon.sources.nhanh.lists import PRODUCTS
from daemon.sources.nhanh.models import NhanhProduct
from daemon.sources.shopify.models import ShopInfo

SHOWN = 3  # products
LOOKED_AT = 50
WITHOUT_VAT = 2  # Nhanh.vn documentation, product/list: priceVatMode; 2 is the default


def check_currency(subject: str, shop: ShopInfo, store: StoreSettings) -> list[Finding]:
    """Which currency the shop uses, and, where amounts are synced, whether it is Nhanh.vn's."""
    taxes = _("include the tax") if shop.taxes_included else _("are without tax")
    findings = [
        ok(
            subject,
            _("the shop's currency is {currency}, its prices {taxes}").format(currency=shop.currency, taxes=taxes),
        )
    ]
    pushes_prices = store.product_sync is not None and (store.product_sync.price or store.product_sync.compare_at_price)
    pushes_amounts = pushes_prices or store.customer_sync is not None
    if store.nhanh is not None and pushes_amounts and store.nhanh.currency != shop.currency:
        detail = _("Nhanh.vn's amounts are in {currency}: no prices and no totals will be pushed").format(
            currency=store.nhanh.currency
        )
        advice = _("set currency = \"{currency}\" in the store's nhanh table if Nhanh.vn's amounts are in it").format(
            currency=shop.currency
        )
        findings.append(failed(subject, detail, advice))
    return findings


async def show_prices(subject: str, client: NhanhClient, shop: ShopInfo, store: StoreSettings) -> list[Finding]:
    """Three products with both figures; nothing where no prices are synced, or none can be for their currency."""
    if store.nhanh is None or store.product_sync is None or store.product_sync.price is None:
        return []
    if store.nhanh.currency != shop.currency:
        return []
    currency = Currency(store.nhanh.currency)
    meter = CallMeter()
    try:
        async with aclosing(client.rows(PRODUCTS, {}, after=None, meter=meter, page_size=LOOKED_AT)) as pages:
            page = await anext(pages, None)
        rows = [row.value for row in page.rows] if page is not None else []
        priced = [(product, price) for product in rows if (price := _price(product, store.product_sync.price))]
        return [
            await _show(subject, client, product, Money(price, currency), shop, meter)
            for product, price in priced[:SHOWN]
        ]
    except SourceError as error:
        advice = _("read what it says; prices that need VAT are not pushed until the VAT is known")
        return [
            warning(subject, _("the prices of some products could not be checked: {error}").format(error=error), advice)
        ]


async def _show(
    subject: str, client: NhanhClient, product: NhanhProduct, price: Money, shop: ShopInfo, meter: CallMeter
) -> Finding:
    name = product.code or str(product.id)
    rate = (await client.product_detail(product.id, meter=meter)).vat_rate
    is_without = (product.price_vat_mode or WITHOUT_VAT) == WITHOUT_VAT
    if rate is None:
        if is_without != shop.taxes_included:
            return ok(
                subject,
                _("{name}: {price}, which is what Shopify gets; its VAT is not known, nor needed").format(
                    name=name, price=price
                ),
            )
        detail = (
            _("{name}: {price} without VAT, which is not known: it gets no price")
            if is_without
            else _("{name}: {price} with VAT, which is not known: it gets no price")
        )
        return warning(subject, detail.format(name=name, price=price), _("enter its VAT in Nhanh.vn"))
    without, with_vat = (price, price.with_percent(rate)) if is_without else (price.without_percent(rate), price)
    gets = with_vat if shop.taxes_included else without
    return ok(
        subject,
        _("{name}: {without} without VAT, {with_vat} with {rate:f} %: Shopify gets {gets}").format(
            name=name, without=without, with_vat=with_vat, rate=rate.normalize(), gets=gets
        ),
    )


def _price(product: NhanhProduct, kind: str) -> Decimal | None:
    return getattr(product.prices, kind) if product.prices is not None else None
