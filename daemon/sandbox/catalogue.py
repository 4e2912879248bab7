"""The shop behind both sandbox servers: goods, people and depots made from a seed, with the dirt that shops have.

The same seed and sizes give the same shop, row by row. People are made when they are looked at (`People`), so a million
of them cost no memory; goods are few enough to be held.
"""

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar, overload

from daemon.sandbox import vocabulary as words

T = TypeVar("T")

OPENED = datetime(2022, 1, 3, 2, 0, tzinfo=UTC)
"""When the shop opened: nothing in it is older."""
SNAPSHOT = datetime(2025, 6, 30, 17, 0, tzinfo=UTC)
"""The newest change in a freshly made shop. Fixed, so that one seed gives one shop on any day."""


@dataclass(frozen=True, slots=True)
class CatalogueDepot:
    """A place that holds stock: a Nhanh depot, a Shopify location."""

    id: int
    code: str
    name: str


@dataclass(slots=True)
class Good:
    """One sellable item that both sides know: a Nhanh product, a Shopify variant."""

    number: int  # 1, 2, 3 … over the whole catalogue
    sku: str
    barcode: str  # "" where nobody entered one
    name: str  # the product's name with the option values
    option_values: tuple[str, ...]  # ("Đỏ", "M"); empty for a product with one item
    product_number: int  # goods with the same number are variants of one product
    product_name: str
    category: str
    vendor: str
    tags: tuple[str, ...]
    price: Decimal
    compare_at_price: Decimal | None
    stock: dict[int, int]  # depot id -> available; negative where more was sold than counted
    created_at: datetime
    updated_at: datetime
    option_names: tuple[str, ...] = ()
    nhanh_code: str | None = None  # how Nhanh spells the SKU, where it differs (case, stray spaces)

    @property
    def code(self) -> str:
        """The SKU as Nhanh has it."""
        return self.sku if self.nhanh_code is None else self.nhanh_code


@dataclass(slots=True)
class Person:
    """One customer. `phone` is E.164, or None where there is none or what was typed is not a number."""

    number: int  # 1, 2, 3 …
    name: str
    phone: str | None
    phone_spelling: str  # as somebody typed it
    email: str | None
    address: str
    city: str
    birthday: date | None
    points: int
    total_spent: Decimal
    last_bought: date | None
    type: int  # 1 retail, 2 wholesale, 3 agent
    tags: tuple[str, ...]
    updated_at: datetime


@dataclass(slots=True)
class Catalogue:
    """A whole shop."""

    goods: list[Good]
    people: Sequence[Person]
    depots: list[CatalogueDepot] = field(default_factory=list)


class Draws:
    """Numbers drawn from a digest of (seed, topic, number): cheaper than seeding a `random.Random` for every row."""

    __slots__ = ("_rest",)

    def __init__(self, seed: int, topic: str, number: int) -> None:
        self._rest = _digest(f"{seed}/{topic}/{number}")

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1."""
        if self._rest < bound << 32:  # used up: what is left would no longer be even
            self._rest = _digest(f"{self._rest}/{bound}")
        self._rest, number = divmod(self._rest, bound)
        return number

    def between(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def choice(self, options: Sequence[T]) -> T:
        """One of `options`."""
        return options[self.below(len(options))]

    def permille(self, share: int) -> bool:
        """True in `share` of a thousand cases."""
        return self.below(1000) < share

    def moment(self, since: datetime, until: datetime) -> datetime:
        """A time between the two, to the second."""
        return since + timedelta(seconds=self.below(max(int((until - since).total_seconds()), 1)))


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode()).digest(), "big")


def generate(
    seed: int,
    *,
    products: int,
    customers: int,
    variants_per_product: tuple[int, int] = (1, 6),
    depots: int = 3,
    big_product_variants: int = 0,
) -> Catalogue:
    """Make a shop.

    Args:
        seed: the same seed makes the same shop.
        products: how many products; each has one or more goods.
        customers: how many people.
        variants_per_product: fewest and most goods of a product.
        depots: how many places hold stock.
        big_product_variants: when not 0, the first product has this many goods (Shopify allows 2,048).
    """
    places = [_depot(number) for number in range(1, depots + 1)]
    goods: list[Good] = []
    for product_number in range(1, products + 1):
        count = Draws(seed, "variants", product_number).between(*variants_per_product)
        if product_number == 1 and big_product_variants:
            count = big_product_variants
        goods.extend(_product_goods(seed, product_number, count, places, first_number=len(goods) + 1))
    _share_some_skus(seed, goods)
    return Catalogue(goods, People(seed, customers), places)


class People(Sequence[Person]):
    """`count` people made from a seed on demand; number `n` is at index `n - 1`."""

    def __init__(self, seed: int, count: int) -> None:
        self._seed = seed
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Person]:
        return (self._person(number) for number in range(1, self._count + 1))

    @overload
    def __getitem__(self, index: int) -> Person: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Person]: ...
    def __getitem__(self, index: int | slice) -> Person | Sequence[Person]:
        if isinstance(index, slice):
            return [self._person(position + 1) for position in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return self._person(index % self._count + 1)

    def _person(self, number: int) -> Person:
        draws = Draws(self._seed, "person", number)
        name = (
            f"{draws.choice(words.FAMILY_NAMES)} {draws.choice(words.MIDDLE_NAMES)} {draws.choice(words.GIVEN_NAMES)}"
        )
        phone, spelling = self._phone(draws, number)
        email = _email(draws, name, number) if draws.permille(450) else None
        city = draws.choice(words.CITIES)
        spent = Decimal(draws.between(1, 40_000) * 1000) if draws.permille(850) else Decimal(0)
        updated_at = draws.moment(OPENED, SNAPSHOT)
        return Person(
            number=number,
            name=unicodedata.normalize("NFD", name) if draws.permille(30) else name,
            phone=phone,
            phone_spelling=spelling,
            email=email,
            address=f"{draws.between(1, 400)} {draws.choice(words.STREETS)}" if draws.permille(800) else "",
            city=city,
            birthday=date(1950, 1, 1) + timedelta(days=draws.below(21_000)) if draws.permille(400) else None,
            points=int(spent) // 100_000,
            total_spent=spent,
            last_bought=updated_at.date() - timedelta(days=draws.below(60)) if spent else None,
            type=1 if draws.permille(900) else draws.between(2, 3),
            tags=(draws.choice(words.CUSTOMER_TAGS),) if draws.permille(250) else (),
            updated_at=updated_at,
        )

    def _phone(self, draws: Draws, number: int) -> tuple[str | None, str]:
        """A phone number as E.164 and as typed. One in fifty is that of somebody who came shortly before."""
        if draws.permille(30):
            return None, ""
        if draws.permille(5):
            return None, draws.choice(words.NOT_A_PHONE)
        owner = number - draws.between(1, min(number - 1, 50)) if number > 1 and draws.permille(20) else number
        national = _mobile_number(self._seed, owner)
        return f"+84{national[1:]}", _spelling(draws, national)


def _mobile_number(seed: int, owner: int) -> str:
    """Ten digits beginning with 0, different for every owner: a full cycle through all mobile numbers."""
    space = len(words.MOBILE_PREFIXES) * 10_000_000
    position = (
        owner * 179_424_673 + seed * 15_485_863
    ) % space  # a prime that does not divide the space: no repetition
    prefix, subscriber = divmod(position, 10_000_000)
    return f"{words.MOBILE_PREFIXES[prefix]}{subscriber:07d}"


def _spelling(draws: Draws, national: str) -> str:
    """One of the ways in which Vietnamese people write a mobile number such as 0903123456."""
    rest = national[1:]
    spellings = [
        *[national] * 8,
        f"84{rest}",
        f"+84{rest}",
        f"0084{rest}",
        f"{national[:4]} {national[4:7]} {national[7:]}",
        f"{national[:4]}.{national[4:7]}.{national[7:]}",
        f"{national[:3]}-{national[3:6]}-{national[6:]}",
        f"(+84) {rest[:2]} {rest[2:5]} {rest[5:]}",
        f"+84 0{rest}",
        f" {national} ",
        rest,  # a spreadsheet ate the zero
    ]
    before_2018 = words.PREFIXES_BEFORE_2018.get(national[:3])
    if before_2018 is not None:
        spellings += [before_2018 + national[3:]] * 2
    return draws.choice(spellings)


def _email(draws: Draws, name: str, number: int) -> str:
    local = f"{ascii_slug(name).replace('-', '.')}{number}"
    return f"{local.upper() if draws.permille(30) else local}@{draws.choice(words.MAIL_DOMAINS)}"


def ascii_slug(text: str) -> str:
    """`text` without diacritics, lower case, words joined by hyphens: "Áo Đỏ" becomes "ao-do"."""
    plain = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    kept = "".join(
        letter if letter.isascii() and letter.isalnum() else " "
        for letter in plain
        if not unicodedata.combining(letter)
    )
    return "-".join(kept.lower().split())


def _depot(number: int) -> CatalogueDepot:
    city = words.CITIES[(number - 1) % len(words.CITIES)]
    round_ = (number - 1) // len(words.CITIES)
    return CatalogueDepot(1000 + number, f"KHO{number:02d}", f"Kho {city}" + (f" {round_ + 1}" if round_ else ""))


def _product_goods(
    seed: int, product_number: int, count: int, depots: Sequence[CatalogueDepot], *, first_number: int
) -> list[Good]:
    draws = Draws(seed, "product", product_number)
    kind = draws.choice(words.KINDS)
    name = f"{kind.name} {draws.choice(kind.materials)} {draws.choice(words.STYLES)} {product_number}"
    if draws.permille(40):
        name = draws.choice(words.DIRTY_NAMES).format(name)
    if draws.permille(40):
        name = unicodedata.normalize("NFD", name)
    base_price = draws.between(kind.lowest_price, kind.highest_price) // 10 * 10 - draws.choice((0, 1))  # 190, 199 …
    discounted = draws.permille(200)
    vendor, tags = draws.choice(words.VENDORS), _tags(draws)
    created_at = draws.moment(OPENED, SNAPSHOT)
    option_names, combinations = _options(draws, kind.sizes, count)
    goods = []
    for position, values in enumerate(combinations):
        own = Draws(seed, "good", first_number + position)
        sku = "-".join([f"{kind.code}{product_number:04d}", *(ascii_slug(value).upper() for value in values)])
        price = Decimal((base_price + position // 2 % 4 * 10) * 1000)
        goods.append(
            Good(
                number=first_number + position,
                sku=sku,
                barcode="" if own.permille(80) else _ean13(seed, first_number + position),
                name=" / ".join([name, *values]),
                option_values=values,
                product_number=product_number,
                product_name=name,
                category=kind.category,
                vendor=vendor,
                tags=tags,
                price=price,
                compare_at_price=price * 5 // 4 // 1000 * 1000 if discounted else None,
                stock={depot.id: _stock(own) for depot in depots},
                created_at=created_at,
                updated_at=own.moment(created_at, SNAPSHOT),
                option_names=option_names,
                nhanh_code=_other_spelling(own, sku),
            )
        )
    return goods


def _options(draws: Draws, sizes: Sequence[str], count: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Option names, and `count` combinations of values: none, colours, colours and sizes, or those and a model."""
    if count == 1:
        return (), [()]
    start = draws.below(len(words.COLOURS))
    colours = [words.COLOURS[(start + step) % len(words.COLOURS)] for step in range(len(words.COLOURS))]
    if count <= 3:
        return ("Màu sắc",), [(colour,) for colour in colours[:count]]
    pairs = [(colour, size) for colour in colours for size in sizes]
    if count <= len(pairs):
        return ("Màu sắc", "Kích thước"), list(pairs[:count])
    combinations = [(*pairs[position % len(pairs)], f"Mẫu {position // len(pairs) + 1}") for position in range(count)]
    return ("Màu sắc", "Kích thước", "Mẫu"), list(combinations)


def _tags(draws: Draws) -> tuple[str, ...]:
    start, count = draws.below(len(words.PRODUCT_TAGS)), draws.below(4)
    return tuple(words.PRODUCT_TAGS[(start + step) % len(words.PRODUCT_TAGS)] for step in range(count))


def _stock(draws: Draws) -> int:
    if draws.permille(200):
        return 0
    return -draws.between(1, 3) if draws.permille(15) else draws.between(1, 120)


def _ean13(seed: int, number: int) -> str:
    """A barcode under 893, the GS1 prefix of Vietnam, with its check digit."""
    digits = f"893{(number * 104_729 + seed * 7919) % 1_000_000_000:09d}"
    weighted = sum(int(digit) * (3 if position % 2 else 1) for position, digit in enumerate(digits))
    return f"{digits}{-weighted % 10}"


def _other_spelling(draws: Draws, sku: str) -> str | None:
    """How Nhanh spells the SKU where it differs from Shopify, in one case of twenty."""
    if not draws.permille(50):
        return None
    return draws.choice((f"{sku} ", f" {sku}", sku.lower(), sku.replace("-", " - ", 1), f"{sku}\t"))


def _share_some_skus(seed: int, goods: list[Good]) -> None:
    """Give one good of a hundred the SKU of an earlier one, as happens when people copy products."""
    for position, good in enumerate(goods):
        draws = Draws(seed, "copied", good.number)
        if position and draws.permille(10):
            good.sku, good.nhanh_code = goods[draws.below(position)].sku, None
