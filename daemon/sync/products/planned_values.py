"""What the plan decides about single variants, for whoever wants to know why: the plan's own statements say it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from asyncpg import Record

from daemon.config import ProductSyncSettings
from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.mirror.shops import Shop
from daemon.sync.products.obstacles import Obstacle
from daemon.sync.products.plan import depot_columns
from daemon.sync.products.queries import PlanQueries
from daemon.sync.products.ruling import ON_PRICES, ON_STOCK, AppliedRule, Ruling


@dataclass(frozen=True, slots=True)
class PlannedStock:
    """What the plan says of a variant's stock at one location.

    Args:
        applied: what rules have decided about it, be it that it is left alone.
        obstacle: why it is not pushed; None where nothing is in the way.
        figures: what each depot of the location holds, in the configured order.
        total: what they hold together; of a combo, how many whole sets its components make.
        desired: what Shopify should have of it. Where there is no product, all of these are empty.
        differs: whether Shopify has something else.
    """

    obstacle: Obstacle | None
    is_combo: bool
    figures: Sequence[Decimal]
    total: Decimal | None
    desired: int | None
    differs: bool
    applied: Sequence[AppliedRule] = ()


@dataclass(frozen=True, slots=True)
class PlannedAmount:
    """What the plan says of the price or the compare-at price of a variant.

    Args:
        obstacle: why it is not pushed; None where nothing is in the way.
        desired: what Shopify should have, in the shop's currency; None for none.
        differs: whether Shopify has something else.
    """

    obstacle: Obstacle | None
    desired: Decimal | None
    differs: bool


@dataclass(frozen=True, slots=True)
class PlannedPrices:
    """What the plan says of a variant's prices; where there is no product, nothing is quoted.

    Args:
        quoted: the price as Nhanh.vn has it.
        old_price: the old price there as the shop's customers would pay it.
        applied: what rules have decided about them.
    """

    quoted: Decimal | None
    old_price: Decimal | None
    price: PlannedAmount
    compare_at_price: PlannedAmount
    applied: Sequence[AppliedRule] = ()


@dataclass(frozen=True, slots=True)
class PlannedValues:
    """What the plan says of some variants."""

    stock: Mapping[tuple[int, int], PlannedStock] = field(default_factory=dict)  # by variant and location
    prices: Mapping[int, PlannedPrices] = field(default_factory=dict)  # by variant


async def planned_values(
    connection: Connection, store: StoreName, settings: ProductSyncSettings, shop: Shop, variant_ids: Sequence[int]
) -> PlannedValues:
    """What the plan of a store says of these variants, mapped or not; `shop`: what its prices mean."""
    queries = PlanQueries(settings, shop)
    ruling = queries.ruling
    depots = depot_columns(settings.depots_of)
    stock = await connection.fetch(queries.stock_of_variants, store, *depots, variant_ids, *queries.parameters)
    prices = (
        await connection.fetch(queries.prices_of_variants, store, variant_ids, *queries.parameters)
        if queries.has_prices
        else ()
    )
    return PlannedValues(
        {(row["variant_id"], row["location_id"]): _stock(row, ruling) for row in stock},
        {row["variant_id"]: _prices(row, ruling) for row in prices},
    )


def _stock(row: Record, ruling: Ruling) -> PlannedStock:
    if row["nhanh_id"] is None:
        return PlannedStock(_obstacle(row), False, (), None, None, True)
    return PlannedStock(
        obstacle=_obstacle(row),
        is_combo=row["is_combo"],
        figures=row["figures"],
        total=Decimal(0) if row["total"] is None else row["total"],  # of a combo without components
        desired=row["desired"],
        differs=row["differs"],
        applied=ruling.applied(row, "skip", *ON_STOCK),
    )


def _prices(row: Record, ruling: Ruling) -> PlannedPrices:
    obstacle, has_product = _obstacle(row), row["nhanh_id"] is not None
    return PlannedPrices(
        quoted=row["quoted_price"] if has_product else None,
        old_price=row["old_price"],
        price=_price(row, "price", obstacle, has_product=has_product),
        compare_at_price=_price(row, "compare_at_price", obstacle, has_product=has_product),
        applied=ruling.applied(row, "skip", "hold_price", *ON_PRICES),
    )


def _price(row: Record, column: str, obstacle: Obstacle | None, *, has_product: bool) -> PlannedAmount:
    wanted: Decimal | None = row[f"wanted_{column}"] if has_product else None
    slips = row["price_slips" if column == "price" else "compare_at_slips"]
    return PlannedAmount(
        obstacle=obstacle or (Obstacle.DOES_NOT_STICK if slips else None),
        desired=wanted,
        differs=row[column] != wanted,
    )


def _obstacle(row: Record) -> Obstacle | None:
    return None if row["obstacle"] is None else Obstacle(row["obstacle"])
