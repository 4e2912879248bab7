"""The options of `dongbo sale`. Those that define a campaign `sale create` and `sale preview` have in common."""

from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.context import CommandContext, DaemonCommand
from daemon.cli.options import OptionRecord

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The campaign's name, or its id.")]
OfStoreOption = Annotated[
    str | None, typer.Option("--store", help="The store, where campaigns of several have the name.")
]
YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Don't ask; required where there is no terminal to ask at.")
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Write all variants as CSV.")]


class DiscountFrom(StrEnum):
    """What a discount is taken from."""

    COMPARE_AT_PRICE = "compare_at_price"
    PRICE = "price"


class Newcomers(StrEnum):
    """What happens to variants that are added later."""

    JOIN = "join"
    IGNORE = "ignore"


def _number(spelling: str, text: str) -> Any:
    return typer.Option(spelling, metavar="N", help=text)


def _selection(spelling: str, metavar: str, text: str) -> Any:
    return typer.Option(spelling, metavar=metavar, help=f"{text}; may be given several times.")


def _file(spelling: str, text: str) -> Any:
    return typer.Option(spelling, metavar="FILE", help=text)


@dataclass(frozen=True, slots=True)
class SaleOptions:
    """What was given about a campaign, as typed; None and False where nothing was."""

    percent: Annotated[str | None, _number("--percent", "Discount in percent; or use --amount.")] = None
    amount: Annotated[str | None, _number("--amount", "Discount in the shop's currency; or use --percent.")] = None
    discount_from: Annotated[
        DiscountFrom | None,
        typer.Option(
            "--from", help="What it is taken off; by default the compare-at price where that is above the price."
        ),
    ] = None
    round_to: Annotated[
        str | None, _number("--round-to", "Round sale prices down to multiples of this, such as 1000; by default 1.")
    ] = None
    ending: Annotated[
        str | None, _number("--ending", "What sale prices end with: 900 with --round-to 1000 turns 90450 into 89900.")
    ] = None
    floor: Annotated[str | None, _number("--floor", "No sale price goes below this.")] = None
    starts: Annotated[
        str | None,
        typer.Option(
            "--starts", metavar="TIME", help='Such as "2027-01-28 20:00", in the shop\'s time; by default at once.'
        ),
    ] = None
    ends: Annotated[
        str | None,
        typer.Option("--ends", metavar="TIME", help="Likewise; by default when `dongbo sale revert` ends it."),
    ] = None
    newcomers: Annotated[
        Newcomers | None,
        typer.Option(
            "--newcomers",
            help="Whether variants that join the targets while it runs are included; by default they are.",
        ),
    ] = None
    everything: Annotated[bool, typer.Option("--all", help="For every variant of the shop.")] = False
    product: Annotated[list[int] | None, _selection("--product", "ID", "For a product")] = None
    collection: Annotated[list[str] | None, _selection("--collection", "HANDLE", "For a collection, or its id")] = None
    product_type: Annotated[list[str] | None, _selection("--type", "TYPE", "For a product type")] = None
    vendor: Annotated[list[str] | None, _selection("--vendor", "VENDOR", "For a vendor")] = None
    tag: Annotated[list[str] | None, _selection("--tag", "TAG", "For products with a tag")] = None
    sku: Annotated[list[str] | None, _selection("--sku", "SKU", "For an SKU")] = None
    skus: Annotated[
        Path | None, _file("--skus", "For the SKUs in a file, one per line; lines that begin with # are comments.")
    ] = None
    exclude_product: Annotated[list[int] | None, _selection("--exclude-product", "ID", "Not for it")] = None
    exclude_collection: Annotated[list[str] | None, _selection("--exclude-collection", "HANDLE", "Not for it")] = None
    exclude_type: Annotated[list[str] | None, _selection("--exclude-type", "TYPE", "Not for it")] = None
    exclude_vendor: Annotated[list[str] | None, _selection("--exclude-vendor", "VENDOR", "Not for it")] = None
    exclude_tag: Annotated[list[str] | None, _selection("--exclude-tag", "TAG", "Not for products with it")] = None
    exclude_sku: Annotated[list[str] | None, _selection("--exclude-sku", "SKU", "Not for it")] = None
    exclude_skus: Annotated[Path | None, _file("--exclude-skus", "Not for the SKUs in a file.")] = None

    @property
    def are_given(self) -> bool:
        """Whether anything was given at all."""
        return any(getattr(self, field.name) for field in fields(self))


SALE_OPTIONS = OptionRecord(SaleOptions)


class SaleCommand(DaemonCommand):
    """A command that takes all options of `SaleOptions` before its own; `given_options` has them."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params = [*SALE_OPTIONS.parameters, *self.params]


def given_options(context: CommandContext) -> SaleOptions:
    """What was given about a campaign to a `SaleCommand`."""
    return SALE_OPTIONS.read(context.params)
