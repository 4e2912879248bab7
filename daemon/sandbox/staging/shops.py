"""Situations of a shop as a whole: its currency, taxes, clock, identity, locations, customers and definitions."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice

from daemon.sandbox.staging.stage import ShopTooSmall, Stage

CLOCKS_APART = 20 * 60  # seconds
SECOND_NUMBER = "0987654321"
LANDLINES = "02838251234-12"

_PLAIN_MOBILE = re.compile(r"0\d{9}")
_ODD_FORMS: tuple[Callable[[str], str], ...] = (
    lambda phone: f"84{phone[1:]}",
    lambda phone: f"{phone}-{SECOND_NUMBER}",
    lambda phone: f"{phone[:4]} {phone[4:7]} {phone[7:]} 0987 654 321",
    lambda phone: f"{phone[1:]}.0",
    lambda phone: f"{phone} ext 12",
    lambda _: LANDLINES,
    lambda phone: f"\u202d{phone}\u202c",
)


@contextmanager
def other_currency(stage: Stage) -> Iterator[None]:
    profile = stage.shopify.profile
    with stage.changed(profile, currency="EUR" if profile.currency == "USD" else "USD"):
        yield


@contextmanager
def prices_without_tax(stage: Stage) -> Iterator[None]:
    with stage.changed(stage.shopify.profile, taxes_included=False):
        yield


@contextmanager
def prices_without_vat(stage: Stage) -> Iterator[None]:
    with_vat = [product.id for product in stage.nhanh.products.values() if product.price_vat_mode == 1]
    stage.nhanh.take_vat_out_of_prices()
    try:
        yield
    finally:
        for number in with_vat:
            if number in stage.nhanh.products:
                stage.nhanh.change_product(number, price_vat_mode=1)


def clocks(*, nhanh: int = 0, shopify: int = 0) -> Callable[[Stage], AbstractContextManager[None]]:
    """Clocks that are ahead by so many seconds, or behind."""

    @contextmanager
    def apart(stage: Stage) -> Iterator[None]:
        stage.nhanh.clock_offset += nhanh
        stage.shopify.clock_offset += shopify
        try:
            yield
        finally:
            stage.nhanh.clock_offset -= nhanh
            stage.shopify.clock_offset -= shopify

    return apart


@contextmanager
def other_shop(stage: Stage) -> Iterator[None]:
    with stage.changed(stage.shopify.profile, domain=f"other-{stage.shopify.profile.domain}"):
        yield


@contextmanager
def other_business(stage: Stage) -> Iterator[None]:
    with stage.changed(stage.nhanh, business_id=stage.nhanh.business_id + 1):
        yield


@contextmanager
def closed_location(stage: Stage) -> Iterator[None]:
    with stage.location() as place, stage.unstocked(locations=[place.id]):
        stage.shopify.close_location(place.id)
        try:
            yield
        finally:
            if place.id in stage.shopify.locations:
                stage.shopify.open_location(place.id)


@contextmanager
def deleted_location(stage: Stage) -> Iterator[None]:
    with stage.location() as place, stage.unstocked(locations=[place.id]):
        stage.shopify.delete_location(place.id)
        try:
            yield
        finally:
            stage.shopify.add_location(place)


@contextmanager
def protected_fields(stage: Stage) -> Iterator[None]:
    with stage.added(stage.shopify.troubles.protected, ["defaultPhoneNumber", "defaultAddress.phone"]):
        yield


@contextmanager
def odd_phones(stage: Stage) -> Iterator[None]:
    nhanh = stage.nhanh
    plain = ((each.id, each.mobile) for each in nhanh.customers.values() if _PLAIN_MOBILE.fullmatch(each.mobile))
    before = dict(islice(plain, len(_ODD_FORMS)))
    if len(before) < len(_ODD_FORMS):
        raise ShopTooSmall("the sandbox has too few customers with a phone number: start it with more --customers")
    for (number, mobile), odd in zip(before.items(), _ODD_FORMS, strict=True):
        nhanh.change_customer(number, mobile=odd(mobile))
    try:
        yield
    finally:
        for number, mobile in before.items():
            if number in nhanh.customers:
                nhanh.change_customer(number, mobile=mobile)


@contextmanager
def metafield_type(stage: Stage) -> Iterator[None]:
    definitions = stage.shopify.definitions
    with stage.changed(stage.shopify, definitions=dict(definitions)):
        stage.shopify.define_metafield("custom.total_spent", "boolean")
        yield
