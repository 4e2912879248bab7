"""Shopify's product exports: CSV files with a row for each variant and each further picture of a product.

The columns differ between versions of the export (https://help.shopify.com/manual/products/import-export/using-csv).
All but the handle may be missing, and the names of both the older and the present template are known here.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

from daemon.errors import ConfigError
from daemon.sandbox.catalogue import OPENED, SNAPSHOT, Catalogue, Draws, Good, ascii_slug, generate

# Characters. The csv module's own bound is 128 kB, which descriptions with pictures in them exceed; without any, a file
# with a quote too many would be one cell.
LONGEST_CELL = 4 * 2**20
OPTION_NUMBERS = (1, 2, 3)
DEFAULT_OPTION = "Title"
DEFAULT_VALUE = "Default Title"
TRUE = frozenset({"true", "yes", "1"})

NEWER_NAMES = {
    "url handle": "handle",
    "description": "body (html)",
    "published on online store": "published",
    "sku": "variant sku",
    "barcode": "variant barcode",
    "price": "variant price",
    "compare-at price": "variant compare at price",
    "charge tax": "variant taxable",
    "inventory tracker": "variant inventory tracker",
    "inventory quantity": "variant inventory qty",
    "continue selling when out of stock": "variant inventory policy",
    "weight value (grams)": "variant grams",
    "weight unit for display": "variant weight unit",
    "requires shipping": "variant requires shipping",
    "product image url": "image src",
    "image alt text": "image alt text",
}
"""Column names of the present template, in lower case, by the older names that the code below uses."""


@dataclass(slots=True)
class CsvVariant:
    """A variant as the file has it; blank cells are "" or None."""

    option_values: tuple[str, ...]
    sku: str
    barcode: str
    price: Decimal
    compare_at_price: Decimal | None
    quantity: int
    tracked: bool
    continue_selling: bool
    requires_shipping: bool
    taxable: bool
    grams: Decimal
    weight_unit: str
    unit_cost: Decimal | None


@dataclass(slots=True)
class CsvProduct:
    """A product as the file has it."""

    handle: str
    title: str
    body_html: str
    vendor: str
    product_type: str
    tags: list[str]
    published: bool
    status: str
    gift_card: bool
    seo_title: str
    seo_description: str
    option_names: tuple[str, ...]
    variants: list[CsvVariant] = field(default_factory=list)
    image_url: str = ""
    image_alt: str = ""


def read_products(paths: Sequence[Path]) -> list[CsvProduct]:
    """The products of all files; where two files have the same handle, the later one's.

    Args:
        paths: UTF-8 files, with or without a byte order mark.

    Raises:
        ConfigError: a file can't be read, with one line `file:line: what is wrong` for each problem.
    """
    products: dict[str, CsvProduct] = {}
    problems: list[str] = []
    for path in paths:
        products |= _File(path, problems).products()
    if problems:
        raise ConfigError(*problems)
    return list(products.values())


def catalogue_from_csv(paths: Sequence[Path], seed: int, *, customers: int = 500, depots: int = 2) -> Catalogue:
    """A shop with the goods of Shopify's exports, for the Nhanh side to have the same.

    Blank SKUs are made up from the handle and the options; `ShopifySandbox(csv=paths)` keeps them blank as in the file.

    Args:
        paths: see `read_products`, as are the errors.
        seed: for what the files don't tell: people and times.
        customers: how many people.
        depots: how many places; the stock of the file is at the first.
    """
    catalogue = generate(seed, products=0, customers=customers, depots=depots)
    for number, product in enumerate(read_products(paths), start=1):
        for variant in product.variants:
            catalogue.goods.append(_good(seed, catalogue, number, product, variant))
    return catalogue


def has_options(product: CsvProduct) -> bool:
    """Whether the product has options to choose from; one that has none is exported with a default one."""
    return product.option_names != (DEFAULT_OPTION,) or [v.option_values for v in product.variants] != [
        (DEFAULT_VALUE,)
    ]


def _good(seed: int, catalogue: Catalogue, product_number: int, product: CsvProduct, variant: CsvVariant) -> Good:
    number = len(catalogue.goods) + 1
    draws = Draws(seed, "csv", number)
    values = variant.option_values if has_options(product) else ()
    made_up = "-".join([product.handle, *map(ascii_slug, values)]).upper()
    created_at = draws.moment(OPENED, SNAPSHOT)
    return Good(
        number=number,
        sku=variant.sku or made_up,
        barcode=variant.barcode,
        name=" / ".join([product.title, *values]),
        option_values=values,
        product_number=product_number,
        product_name=product.title,
        category=product.product_type,
        vendor=product.vendor,
        tags=tuple(product.tags),
        price=variant.price,
        compare_at_price=variant.compare_at_price,
        stock={depot.id: 0 if place else variant.quantity for place, depot in enumerate(catalogue.depots)},
        created_at=created_at,
        updated_at=draws.moment(created_at, SNAPSHOT),
        option_names=product.option_names if values else (),
    )


class _File:
    """One file; what is wrong with it is added to `problems`."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self._path = path
        self._problems = problems
        self._line = 1

    def products(self) -> dict[str, CsvProduct]:
        found: dict[str, CsvProduct] = {}
        usual = csv.field_size_limit(LONGEST_CELL)
        try:
            content = self._path.read_bytes()
            for row in self._rows(content.decode("utf-8-sig")):
                self._add(row, found)
        except OSError as error:
            self._problems.append(f"{self._path}: can't be read: {error.strerror}")
        except UnicodeDecodeError as error:
            self._line = error.object[: error.start].count(b"\n") + 1
            self._problem("is not UTF-8: export it again, or save it as CSV UTF-8")
        except csv.Error as error:
            self._problem(f"is not readable as CSV: {error}")
        finally:
            csv.field_size_limit(usual)
        return found

    def _rows(self, text: str) -> Iterator[Mapping[str, str]]:
        """Rows that are not blank, by column name in lower case."""
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        names = [NEWER_NAMES.get(name.strip().lower(), name.strip().lower()) for name in next(reader, [])]
        if "handle" not in names:
            self._problem("there is no column Handle: this is not a Shopify product export")
            return
        self._line = reader.line_num + 1
        for cells in reader:
            if len(cells) > len(names):
                self._problem(f"the row has {len(cells)} cells, but there are {len(names)} columns")
            elif any(cells):
                yield dict(zip(names, cells, strict=False))
            self._line = reader.line_num + 1

    def _add(self, row: Mapping[str, str], found: dict[str, CsvProduct]) -> None:
        handle = row["handle"].strip()
        if not handle:
            self._problem("the Handle is blank")
            return
        product = found.get(handle)
        if product is None:
            if not row.get("title"):
                self._problem(f"the first row of {handle!r} has no Title")
                return
            product = found[handle] = self._product(handle, row)
        if not product.image_url and row.get("image src"):
            product.image_url, product.image_alt = row["image src"], row.get("image alt text", "")
        if row.get("option1 value") or row.get("variant price") or not product.variants:
            product.variants.append(self._variant(product, row))

    def _product(self, handle: str, row: Mapping[str, str]) -> CsvProduct:
        option_names = [row.get(f"option{number} name", "").strip() for number in OPTION_NUMBERS]
        tags = (tag.strip() for tag in row.get("tags", "").split(","))
        return CsvProduct(
            handle=handle,
            title=row["title"],
            body_html=row.get("body (html)", ""),
            vendor=row.get("vendor", ""),
            product_type=row.get("type", ""),
            tags=list(dict.fromkeys(tag for tag in tags if tag)),
            published=_flag(row.get("published"), default=True),
            status=self._status(row),
            gift_card=_flag(row.get("gift card"), default=False),
            seo_title=row.get("seo title", ""),
            seo_description=row.get("seo description", ""),
            option_names=tuple(name for name in option_names if name) or (DEFAULT_OPTION,),
        )

    def _variant(self, product: CsvProduct, row: Mapping[str, str]) -> CsvVariant:
        values = [
            row.get(f"option{number} value", "").strip() for number, _ in enumerate(product.option_names, start=1)
        ]
        if product.option_names == (DEFAULT_OPTION,) and not values[0]:
            values = [DEFAULT_VALUE]
        return CsvVariant(
            option_values=tuple(values),
            sku=row.get("variant sku", ""),
            barcode=row.get("variant barcode", ""),
            price=self._number(row, "variant price") or Decimal(0),
            compare_at_price=self._number(row, "variant compare at price"),
            quantity=int(self._number(row, "variant inventory qty") or 0),
            tracked=bool(row.get("variant inventory tracker")),
            continue_selling=row.get("variant inventory policy", "").lower() in TRUE | {"continue"},
            requires_shipping=_flag(row.get("variant requires shipping"), default=True),
            taxable=_flag(row.get("variant taxable"), default=True),
            grams=self._number(row, "variant grams") or Decimal(0),
            weight_unit=row.get("variant weight unit", "").strip().lower() or "kg",
            unit_cost=self._number(row, "cost per item"),
        )

    def _status(self, row: Mapping[str, str]) -> str:
        status = row.get("status", "").strip().upper() or "ACTIVE"
        if status not in {"ACTIVE", "ARCHIVED", "DRAFT", "UNLISTED"}:
            self._problem(f"the Status {row['status']!r} is not one of active, draft, archived, unlisted")
        return status

    def _number(self, row: Mapping[str, str], column: str) -> Decimal | None:
        text = row.get(column, "").strip().removeprefix("'")  # a quote keeps spreadsheets from changing numbers
        if not text:
            return None
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            self._problem(f"{column.title()} {text!r} is not a number")
            return None
        return number

    def _problem(self, text: str) -> None:
        self._problems.append(f"{self._path}:{self._line}: {text}")


def _flag(text: str | None, *, default: bool) -> bool:
    return text.strip().lower() in TRUE if text else default
