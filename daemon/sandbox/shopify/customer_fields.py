"""Where the fields of customers and their addresses get their values from."""

from typing import Any

from daemon.sandbox.shopify.common_fields import Resolver, identified, money_of, page_of
from daemon.sandbox.shopify.context import Info
from daemon.sandbox.shopify.listings import sorted_listing
from daemon.sandbox.shopify.metafields import metafield_of, metafields_of
from daemon.sandbox.shopify.paging import ConnectionPage
from daemon.sandbox.shopify.records import AddressRecord, CustomerRecord
from daemon.sandbox.shopify.values import gid


def _email(customer: CustomerRecord, _: Info) -> dict[str, Any] | None:
    if customer.email is None:
        return None
    return {"emailAddress": customer.email, "validFormat": "@" in customer.email, "marketingState": "NOT_SUBSCRIBED"}


def _phone(customer: CustomerRecord, _: Info) -> dict[str, Any] | None:
    if customer.phone is None:
        return None
    return {"phoneNumber": customer.phone, "marketingState": "NOT_SUBSCRIBED"}


def _addresses(customer: CustomerRecord, info: Info, **arguments: Any) -> ConnectionPage[AddressRecord]:
    reverse = bool(arguments.get("reverse"))
    return page_of(info, sorted_listing(customer.addresses, lambda a: a.id, reverse=reverse), arguments)


def _written_address(address: AddressRecord, _: Info, **arguments: bool) -> list[str]:
    lines = [
        _full_name(address) if arguments.get("withName") else None,
        address.company if arguments.get("withCompany") else None,
        address.address1,
        address.address2,
        " ".join(part for part in (address.zip, address.city) if part),
        address.country,
    ]
    return [line for line in lines if line]


def _full_name(address: AddressRecord) -> str | None:
    return " ".join(part for part in (address.first_name, address.last_name) if part) or None


CUSTOMER: dict[str, Resolver] = {
    **identified("Customer"),
    "addresses": lambda c, _, first=None: c.addresses[:first],
    "addressesV2": _addresses,
    "amountSpent": lambda c, info: money_of(info, c.amount_spent),
    "defaultAddress": lambda c, _: c.addresses[0] if c.addresses else None,
    "defaultEmailAddress": _email,
    "defaultPhoneNumber": _phone,
    "locale": lambda _customer, _: "vi",
    "metafield": metafield_of,
    "metafields": metafields_of,
    "numberOfOrders": lambda c, _: str(c.number_of_orders),
    "taxExempt": lambda _customer, _: False,
    "validEmailAddress": lambda c, _: "@" in (c.email or ""),
    "verifiedEmail": lambda c, _: c.state == "ENABLED",
}

ADDRESS: dict[str, Resolver] = {
    "countryCodeV2": lambda address, _: address.country_code,
    "formatted": _written_address,
    "id": lambda address, _: f"{gid('MailingAddress', address.id)}?model_name=CustomerAddress",
    "name": lambda address, _: _full_name(address),
}
