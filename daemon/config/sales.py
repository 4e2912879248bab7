"""What a sale campaign may say: in a `[[sales]]` table of the file, and in a request to the API alike."""

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from daemon.config.fields import NAME_PATTERN, Section
from daemon.ids import SaleName, StoreName
from daemon.schedules.cron import instant_of
from daemon.texts import visible

LARGEST_AMOUNT = Decimal(10) ** 12  # in the shop's currency
MOST_TARGETS = 10_000  # entries of one list
LONGEST_WORD = 255  # characters
YEARS = range(2000, 3000)  # with room at both ends for any zone: Python's calendar ends after the year 9999

GROUPED = re.compile(r"[1-9][0-9]{0,2}(\.[0-9]{3})+")
WHEN = "write a date and time such as 2027-01-28T20:00:00, which is the shop's time; or one with an offset"


def _to_amount(value: object) -> object:
    """TOML and JSON have no decimals: numbers, and texts with a number in them."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return value
    if isinstance(value, str) and GROUPED.fullmatch(value.strip()):
        # Vietnamese writes fifty thousand as 50.000.
        raise ValueError("can be read in two ways: write it without the dots, or with fewer decimals")
    try:
        amount = Decimal(value if isinstance(value, int) else str(value))
    except InvalidOperation:
        raise ValueError("is not a number") from None
    if not amount.is_finite() or amount.copy_abs() > LARGEST_AMOUNT:
        raise ValueError(f"must be a number of at most {LARGEST_AMOUNT:,.0f}")
    if amount != amount.quantize(Decimal("0.01")):
        raise ValueError("has more than two decimal places")
    return Decimal(_without_needless_zeros(amount))  # no "1E+3", which is not a valid price to Shopify


def _to_time(value: object) -> object:
    """TOML has dates and times of its own, JSON has them in text."""
    match value:
        case datetime():
            return _in_our_time(value)
        case date() | time():
            raise ValueError(WHEN)
        case str():
            try:
                read = datetime.fromisoformat(value.strip())
            except ValueError:
                raise ValueError(f"is not understood: {WHEN}") from None
            if len(value.strip()) < len("2027-01-28T20:00"):
                raise ValueError(WHEN)
            return _in_our_time(read)
        case _:
            return value


def _in_our_time(moment: datetime) -> datetime:
    if moment.year not in YEARS:
        raise ValueError(f"the year is not from {YEARS.start} to {YEARS.stop - 1}")
    return moment


def _without_needless_zeros(amount: Decimal) -> str:
    return f"{amount.normalize():f}" if amount else "0"


_FROM_NUMBER = BeforeValidator(_to_amount)
_TO_TEXT = PlainSerializer(_without_needless_zeros, when_used="json")

# The limits stand in the schema again, for editors.
Amount = Annotated[Decimal, Field(ge=0), _FROM_NUMBER, _TO_TEXT, WithJsonSchema({"type": "number", "minimum": 0})]
Price = Annotated[
    Decimal, Field(gt=0), _FROM_NUMBER, _TO_TEXT, WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
]
Percentage = Annotated[
    Decimal,
    Field(gt=0, lt=100),
    _FROM_NUMBER,
    _TO_TEXT,
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100}),
]
Moment = Annotated[
    datetime,
    BeforeValidator(_to_time),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?$"},  # the shop's time
            ]
        }
    ),
]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Word = Annotated[str, Field(min_length=1, max_length=LONGEST_WORD)]
Ids = Annotated[tuple[Id, ...], Field(strict=False, max_length=MOST_TARGETS)]
Words = Annotated[tuple[Word, ...], Field(strict=False, max_length=MOST_TARGETS)]


class SaleSelection(Section):
    """Variants, by what they or their products are: one that any of the lists names is chosen."""

    products: Ids = Field(default=(), description="Shopify product ids.")
    collections: Words = Field(default=(), description="Shopify collections, by handle or id.")
    product_types: Words = Field(default=(), description="Product types, as Shopify has them.")
    vendors: Words = Field(default=(), description="Vendors.")
    tags: Words = Field(default=(), description="Tags of products.")
    skus: Words = Field(default=(), description="SKUs of variants.")
    skus_file: str | None = Field(
        default=None,
        min_length=1,
        description="A file with one SKU a line; relative paths start at the configuration file's directory.",
    )

    @property
    def is_empty(self) -> bool:
        """Whether it names nothing at all."""
        return not (self._lists or self.skus_file)

    @property
    def _lists(self) -> bool:
        return any((self.products, self.collections, self.product_types, self.vendors, self.tags, self.skus))


class SaleTargets(SaleSelection):
    """The variants that a campaign is for."""

    all: bool = Field(default=False, description="Every variant of the shop.")

    @model_validator(mode="after")
    def _name_something(self) -> Self:
        if self.all and not self.is_empty:
            raise ValueError("all is everything already: leave out the other lists, or all")
        if not self.all and self.is_empty:
            raise ValueError(
                "it names nothing: all = true, or products, collections, product_types, vendors, tags, skus, skus_file"
            )
        return self


class SaleSettings(Section):
    """A sale campaign: which variants, which discount, from when until when."""

    name: Annotated[SaleName, Field(pattern=NAME_PATTERN)] = Field(
        description="Its name, unique among the campaigns of the store that have not ended."
    )
    store: Annotated[StoreName, Field(pattern=NAME_PATTERN)] = Field(description="The store that it is for.")
    percent: Percentage | None = Field(
        default=None, description="Discount in percent of the price that it is taken from; or amount."
    )
    amount: Price | None = Field(default=None, description="Discount in the shop's currency; or percent.")
    discount_from: Literal["compare_at_price", "price"] = Field(
        default="compare_at_price",
        description="compare_at_price: of variants that have one above their price, else their price; or always price.",
    )
    round_to: Price = Field(
        default=Decimal(1),
        description="Sale prices are rounded down to multiples of this; 1 for VND, 0.01 for a currency with cents.",
        examples=[1, 1000],
        json_schema_extra={"default": 1},
    )
    ending: Amount | None = Field(
        default=None,
        description="Sale prices end with this within round_to: 900 with round_to = 1000 makes 89900 of 90450.",
    )
    floor: Price | None = Field(default=None, description="No sale price goes below this.")
    starts: Moment | None = Field(default=None, description="When it starts, in the shop's time; without it, at once.")
    ends: Moment | None = Field(
        default=None, description="When it ends, in the shop's time; without it, when a person ends it."
    )
    newcomers: Literal["join", "ignore"] = Field(
        default="join", description="What becomes of variants that only come to the targets while it runs."
    )
    targets: SaleTargets = Field(description="The variants that it is for.")
    excludes: SaleSelection = Field(
        default=SaleSelection(), description="Variants that it is not for, whatever targets says."
    )

    @field_validator("ending")
    @classmethod
    def _within_a_step(cls, ending: Decimal | None, info: ValidationInfo) -> Decimal | None:
        round_to = info.data.get("round_to")
        if ending is not None and round_to is not None and ending >= round_to:
            raise ValueError("must be smaller than round_to (1 unless it is set), within which it lies")
        return ending

    @field_validator("ends")
    @classmethod
    def _behind_the_start(cls, ends: datetime | None, info: ValidationInfo) -> datetime | None:
        starts = info.data.get("starts")
        if starts is not None and ends is not None:
            are_alike = (starts.tzinfo is None) == (ends.tzinfo is None)
            if are_alike and ends <= starts:
                raise ValueError("it would end before it has begun: set ends later")
        return ends

    @model_validator(mode="after")
    def _one_discount(self) -> Self:
        if (self.percent is None) == (self.amount is None):
            raise ValueError("say either percent or amount")
        return self

    @property
    def sums(self) -> list[str]:
        """The keys that hold sums of money: what they are worth depends on the shop's currency."""
        return [name for name in ("amount", "floor") if getattr(self, name) is not None]

    @property
    def rounding(self) -> dict[str, Decimal]:
        """The keys that say how prices are rounded, where that is not to whole units: sums of money as well."""
        return {
            name: amount
            for name, amount, usual in (("round_to", self.round_to, 1), ("ending", self.ending, 0))
            if amount is not None and amount != usual
        }

    def in_zone(self, zone: ZoneInfo) -> "SaleSettings":
        """The same with times as aware UTC. A time that the zone's clocks jump over is that of the jump, one that
        comes twice is the first.

        Raises:
            ValueError: it would end before it has begun, or one of the two lies beyond what a campaign may have.
        """
        starts, ends = (_instant(moment, zone) for moment in (self.starts, self.ends))
        if starts is not None and ends is not None and ends <= starts:
            raise ValueError("it would end before it has begun: set ends later")
        return self.model_copy(update={"starts": starts, "ends": ends})

    def to_json(self) -> dict[str, Any]:
        """As `model_validate` takes it: only what differs from the defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)


def read_skus(path: Path) -> list[str]:
    """The SKUs of a file, one a line; blank lines and lines that begin with # are none.

    Raises:
        ValueError: the file can't be read, holds none, or is not such a list.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8: save it in this encoding") from None
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror or error}") from None
    skus = [sku for line in lines if (sku := visible(line).strip()) and not sku.startswith("#")]
    if not skus:
        raise ValueError(f"{path} names no SKU: write one a line")
    if len(skus) > MOST_TARGETS or any(len(sku) > LONGEST_WORD for sku in skus):
        raise ValueError(f"{path} is not a list of at most {MOST_TARGETS:,} SKUs, one per line")
    return skus


def _instant(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    if moment is None:
        return None
    return _in_our_time(instant_of(moment, zone) if moment.tzinfo is None else moment.astimezone(UTC))
