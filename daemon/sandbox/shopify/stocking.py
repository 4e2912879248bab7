"""Fills a new shop: from the catalogue that both sides share, or from Shopify's own exports."""

import itertools
import random
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

from daemon.sandbox.catalogue import OPENED, SNAPSHOT, Catalogue, Draws, Good, Person, ascii_slug
from daemon.sandbox.shopify.product_csv import DEFAULT_OPTION, DEFAULT_VALUE, CsvProduct, CsvVariant
from daemon.sandbox.shopify.records import (
    AddressRecord,
    Collection,
    CustomerRecord,
    LevelRecord,
    LocationRecord,
    Product,
    Variant,
)
from daemon.sandbox.shopify.state import ShopState

MOST_TYPES = 6  # of products that have a collection each
SALE_SHARE = 3  # one product in so many is in the collection "sale"
WEIGHT_UNITS = {"g": "GRAMS", "kg": "KILOGRAMS", "oz": "OUNCES", "lb": "POUNDS"}


def stock_shop(
    state: ShopState,
    catalogue: Catalogue,
    *,
    seed: int,
    products: Sequence[CsvProduct] | None,
    unstocked_share: float = 0.0,
) -> None:
    """Open the locations, put the goods on sale and register the customers of a new shop.

    Args:
        state: an empty shop.
        catalogue: its depots and people; its goods too, unless `products` are given.
        seed: for what the catalogue doesn't tell.
        products: out of exports.
        unstocked_share: share of variants from 0 to 1 that one of the locations does not stock.
    """
    _Stocking(state, catalogue, seed, unstocked_share).run(products)


class _Stocking:
    def __init__(self, state: ShopState, catalogue: Catalogue, seed: int, unstocked_share: float) -> None:
        self._state = state
        self._catalogue = catalogue
        self._seed = seed
        self._unstocked_share = unstocked_share
        self._product_ids = _ids(seed, "products", 7_590_000_000_000)
        self._variant_ids = _ids(seed, "variants", 42_420_000_000_000)
        self._item_ids = _ids(seed, "items", 44_510_000_000_000)
        self._collection_ids = _ids(seed, "collections", 480_000_000_000)
        self._customer_ids = _ids(seed, "customers", 6_330_000_000_000)
        self._address_ids = _ids(seed, "addresses", 8_110_000_000_000)
        self._phones: set[str] = set()
        self._emails: set[str] = set()
        self._handles: set[str] = set()

    def run(self, products: Sequence[CsvProduct] | None) -> None:
        for location_id, depot in zip(
            _ids(self._seed, "locations", 68_000_000_000), self._catalogue.depots, strict=False
        ):
            city = depot.name.removeprefix("Kho ")
            self._state.add_location(LocationRecord(location_id, depot.name, depot.id, city, OPENED, OPENED))
        if products is None:
            for _, goods in itertools.groupby(self._catalogue.goods, lambda good: good.product_number):
                self._state.add_product(self._product(list(goods)))
        else:
            for number, product in enumerate(products, start=1):
                self._state.add_product(self._exported_product(number, product))
        self._add_collections()
        for index in range(len(self._catalogue.people)):
            if Draws(self._seed, "shopify customer", index).permille(
                600
            ):  # people are made when looked at: not all are
                self._state.add_customer(self._customer(self._catalogue.people[index]))

    # ── Products of the catalogue ───────────────────────────────────────────────────────────────────────────────────

    def _product(self, goods: list[Good]) -> Product:
        first = goods[0]
        draws = Draws(self._seed, "shopify product", first.product_number)
        status = "ACTIVE" if draws.permille(900) else draws.choice(("DRAFT", "ARCHIVED"))
        product = Product(
            id=next(self._product_ids),
            handle=self._handle(first.product_name),
            title=first.product_name,
            description_html=f"<p>{first.product_name} của {first.vendor}.</p>",
            vendor=first.vendor,
            product_type=first.category,
            tags=sorted(first.tags),
            status=status,
            option_names=first.option_names or (DEFAULT_OPTION,),
            created_at=first.created_at,
            updated_at=max(good.updated_at for good in goods),
            published_at=None if status == "DRAFT" else first.created_at,
            image_url=f"https://cdn.shopify.com/s/files/1/sandbox/{first.product_number}.jpg",
            image_alt=first.product_name if draws.permille(500) else None,
        )
        product.variants = [self._variant(product.id, position, good) for position, good in enumerate(goods, start=1)]
        return product

    def _variant(self, product_id: int, position: int, good: Good) -> Variant:
        draws = Draws(self._seed, "shopify variant", good.number)
        return Variant(
            id=next(self._variant_ids),
            product_id=product_id,
            inventory_item_id=next(self._item_ids),
            title=" / ".join(good.option_values) or DEFAULT_VALUE,
            sku=_own_spelling(draws, good.sku),
            barcode=good.barcode or None,
            price=good.price,
            compare_at_price=good.compare_at_price,
            position=position,
            option_values=good.option_values or (DEFAULT_VALUE,),
            created_at=good.created_at,
            updated_at=good.updated_at,
            levels=[
                LevelRecord(place.id, good.stock.get(place.depot_id, 0), good.updated_at)
                for place in self._stocking_places(good.number)
            ],
            tracked=draws.permille(970),
            inventory_policy="CONTINUE" if draws.permille(50) else "DENY",
            grams=Decimal(draws.between(5, 120) * 10),
        )

    def _stocking_places(self, number: int) -> list[LocationRecord]:
        """The locations that stock a good: all, or all but one that is not the first."""
        places = list(self._state.locations.values())
        draws = Draws(self._seed, "unstocked", number)
        if len(places) > 1 and draws.below(1_000_000) < self._unstocked_share * 1_000_000:
            del places[draws.between(1, len(places) - 1)]
        return places

    # ── Collections ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_collections(self) -> None:
        """One for each of the most common types of products, and "sale" across all types."""
        products = list(self._state.products.values())
        types = Counter(product.product_type for product in products if product.product_type)
        for name, _ in types.most_common(MOST_TYPES):
            self._add_collection(name, [product for product in products if product.product_type == name])
        self._add_collection("Sale", products[::SALE_SHARE])

    def _add_collection(self, title: str, products: Sequence[Product]) -> None:
        taken = {collection.handle for collection in self._state.collections.values()}
        self._state.put_collection(
            Collection(
                id=next(self._collection_ids),
                handle=_free_handle(ascii_slug(title) or "bo-suu-tap", taken),
                title=title,
                product_ids=[product.id for product in products],
                updated_at=max((product.updated_at for product in products), default=SNAPSHOT),
            )
        )

    # ── Products of an export ───────────────────────────────────────────────────────────────────────────────────────

    def _exported_product(self, number: int, exported: CsvProduct) -> Product:
        draws = Draws(self._seed, "exported product", number)
        created_at = draws.moment(OPENED, SNAPSHOT)
        product = Product(
            id=next(self._product_ids),
            handle=exported.handle,
            title=exported.title,
            description_html=exported.body_html,
            vendor=exported.vendor,
            product_type=exported.product_type,
            tags=exported.tags,
            status=exported.status,
            option_names=exported.option_names,
            created_at=created_at,
            updated_at=draws.moment(created_at, SNAPSHOT),
            published_at=created_at if exported.published else None,
            image_url=exported.image_url or None,
            image_alt=exported.image_alt or None,
            is_gift_card=exported.gift_card,
            seo_title=exported.seo_title or None,
            seo_description=exported.seo_description or None,
        )
        product.variants = [
            self._exported_variant(product, position, variant)
            for position, variant in enumerate(exported.variants, start=1)
        ]
        return product

    def _exported_variant(self, product: Product, position: int, exported: CsvVariant) -> Variant:
        variant_id = next(self._variant_ids)
        return Variant(
            id=variant_id,
            product_id=product.id,
            inventory_item_id=next(self._item_ids),
            title=" / ".join(exported.option_values),
            sku=exported.sku,
            barcode=exported.barcode or None,
            price=exported.price,
            compare_at_price=exported.compare_at_price,
            position=position,
            option_values=exported.option_values,
            created_at=product.created_at,
            updated_at=product.updated_at,
            levels=[
                LevelRecord(place.id, 0 if number else exported.quantity, product.updated_at)
                for number, place in enumerate(self._stocking_places(variant_id))
            ],
            tracked=exported.tracked,
            requires_shipping=exported.requires_shipping,
            taxable=exported.taxable,
            inventory_policy="CONTINUE" if exported.continue_selling else "DENY",
            grams=exported.grams,
            weight_unit=WEIGHT_UNITS.get(exported.weight_unit, "KILOGRAMS"),
            unit_cost=exported.unit_cost,
        )

    def _handle(self, title: str) -> str:
        handle = _free_handle(ascii_slug(title) or "san-pham", self._handles)
        self._handles.add(handle)
        return handle

    # ── Customers ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _customer(self, person: Person) -> CustomerRecord:
        """A person as they are known online: the phone as E.164, or only where somebody happened to type it."""
        draws = Draws(self._seed, "shopify details", person.number)
        phone_place = "phone" if draws.permille(800) else draws.choice(("address", "note", "nowhere"))
        phone = self._unique(person.phone, self._phones) if phone_place == "phone" else None
        email = self._unique(person.email, self._emails)
        first_name, last_name = _names(draws, person.name, may_be_blank=bool(phone or email))
        spent = person.total_spent if draws.permille(700) else Decimal(0)
        customer = CustomerRecord(
            id=next(self._customer_ids),
            first_name=first_name,
            last_name=last_name,
            email=email,
            phone=phone,
            note=f"SĐT: {person.phone_spelling}" if phone_place == "note" and person.phone_spelling else None,
            tags=sorted(person.tags),
            state="ENABLED" if draws.permille(300) else "DISABLED",
            amount_spent=spent,
            number_of_orders=int(spent) // 400_000 + 1 if spent else 0,
            created_at=min(person.updated_at, OPENED + timedelta(days=draws.below(900))),
            updated_at=person.updated_at,
        )
        if person.address:
            shown = person.phone_spelling if phone_place in {"address", "phone"} else None
            customer.addresses = [
                AddressRecord(
                    id=next(self._address_ids),
                    first_name=first_name,
                    last_name=last_name,
                    address1=person.address,
                    city=person.city,
                    phone=shown or None,
                    zip=None if draws.permille(600) else f"{draws.between(10, 98)}0000",
                )
            ]
        return customer

    def _unique(self, value: str | None, taken: set[str]) -> str | None:
        """Shopify lets no two customers share a phone number or an email address."""
        if value is None or value.lower() in taken:
            return None
        taken.add(value.lower())
        return value


def _ids(seed: int, topic: str, first: int) -> Iterator[int]:
    """Ascending, with gaps."""
    gaps = random.Random(f"{seed}/{topic}")
    number = first
    while True:
        number += 32_768 * gaps.randint(1, 3) + gaps.randint(0, 99)
        yield number


def _free_handle(slug: str, taken: Container[str]) -> str:
    """Unique, as Shopify makes them: with a number behind where it is taken."""
    numbered = (f"{slug}-{number}" for number in itertools.count(1))
    return next(handle for handle in itertools.chain([slug], numbered) if handle not in taken)


def _own_spelling(draws: Draws, sku: str) -> str | None:
    """The SKU as typed on this side: blank, in another case or with stray spaces in a few."""
    if not draws.permille(40):
        return sku
    return draws.choice((None, "", f"{sku} ", f" {sku}", sku.lower()))


def _names(draws: Draws, name: str, *, may_be_blank: bool) -> tuple[str | None, str | None]:
    """The first and the last name: Vietnamese names are split, or left in one, by who types them."""
    family, _, rest = name.partition(" ")
    if may_be_blank and draws.permille(40):
        return None, None
    return draws.choice(((rest or None, family), (rest or None, family), (None, name), (name, None), (name, "")))
