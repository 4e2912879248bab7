"""The plan's rows in batches: nothing lost, nothing twice, in order; and what makes a change risky."""

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.api.pushes import PushKind
from daemon.config import ProductSyncSettings
from daemon.money import amount_text
from daemon.sync.products.approvals import RiskyChange
from daemon.sync.products.price_push import is_other_product
from daemon.sync.products.rows import END, Batch, Key, PriceRow, StockRow, Window, dead_letter, in_batches
from daemon.sync.products.run import Phase, PlanPosition
from daemon.sync.products.safety_limits import PlanOverturned, PlanSurvey, SafetyLimits

SETTINGS = ProductSyncSettings.model_validate(
    {"locations": {"1": (2,)}, "price": "retail", "max_zeroed": 2, "max_large_price_changes": 1}
)


def stock_row(number: int, place: int = 1, present: int | None = 3, desired: int = 0) -> StockRow:
    """A row of the variant of this number."""
    return StockRow(Key(number, number, 1), place, number, f"SKU-{number}", number, present, desired, "because")


def price_row(number: int, old: str, new: str, product: int = 1, place: int = 1) -> PriceRow:
    """A row of the variant of this number."""
    prices = (Decimal(old), None, Decimal(new), None)
    return PriceRow(Key(product, number), place, None, number, *prices, "because", "because")


# Windows as lists of rows, each of which differs or does not.
windows_of_rows = st.lists(st.lists(st.booleans(), max_size=12), max_size=6)


async def batches_of(windows: list[list[bool]], size: int, per_product: int) -> list[Batch[PriceRow]]:
    """All batches of a plan whose rows have the numbers 1, 2, 3 …"""

    async def read() -> AsyncGenerator[Window[PriceRow], None]:
        number = 0
        for window in windows:
            rows = []
            for place, differs in enumerate(window, start=1):
                number += 1
                if differs:
                    rows.append(price_row(number, "1", "2", product=number // per_product, place=place))
            yield Window(rows, len(window))

    return [batch async for batch in in_batches(read(), size, is_other_product)]


@given(windows_of_rows, st.integers(1, 7), st.integers(1, 9))
def test_batches_count_every_row_once(windows: list[list[bool]], size: int, per_product: int) -> None:
    """Each row that differs is in one batch, in order; up to each batch's end, all others are counted as unchanged."""
    batches = asyncio.run(batches_of(windows, size, per_product))
    flat = [differs for window in windows for differs in window]
    numbers = [row.key.variant_id for batch in batches for row in batch.rows]
    assert numbers == [number for number, differs in enumerate(flat, start=1) if differs]
    assert sum(batch.unchanged for batch in batches) == flat.count(False)
    assert batches[-1].through == END
    counted = 0
    for batch in batches:
        assert len(batch.rows) <= size
        assert len({row.key.product_id for row in batch.rows}) <= 1
        counted += len(batch.rows) + batch.unchanged
        if batch.through != END:
            assert batch.through == batch.rows[-1].key
            assert counted == batch.through.variant_id


@given(st.sampled_from(Phase), st.integers(0, 2**60), st.integers(0, 2**60), st.integers(0, 2**60))
def test_position_survives_its_checkpoint(phase: Phase, product: int, variant: int, location: int) -> None:
    """A checkpoint brings back the position that it was made of."""
    position = PlanPosition(phase, Key(product, variant, location))
    assert PlanPosition.from_json(position.to_json()) == position


def test_phases_follow_each_other() -> None:
    """Behind the last batch of the stock come the prices from their start, and behind those nothing."""
    assert PlanPosition().past(END) == PlanPosition(Phase.PRICES)
    assert PlanPosition().past(END).past(END).phase is Phase.DONE
    assert PlanPosition().past(Key(4, 5, 6)) == PlanPosition(Phase.STOCK, Key(4, 5, 6))


@pytest.mark.parametrize(
    ("old", "new", "large"),
    [("100", "70", True), ("100", "71", False), ("100", "130", True), ("100", "129.99", False), ("0", "500", False)],
)
def test_share_of_a_price_change(old: str, new: str, large: bool) -> None:
    """A change counts as large from the share of the present price on; what was free before has no share."""
    assert price_row(1, old, new).is_large(0.3) is large


@pytest.mark.parametrize(("present", "desired", "zeroes"), [(3, 0, True), (3, 1, False), (0, 0, False), (-1, 0, False)])
def test_only_what_can_be_bought_is_zeroed(present: int, desired: int, zeroes: bool) -> None:
    """An item that is sold out already is not sold out by a sync."""
    assert stock_row(1, present=present, desired=desired).zeroes is zeroes


def test_safety_limits_count_items_over_the_whole_run() -> None:
    """An item counts once, however often and wherever it is zeroed; one too many overturns the plan."""
    limits = SafetyLimits(SETTINGS, frozenset())
    limits.admit_stock([stock_row(1), stock_row(1), stock_row(2), stock_row(3, desired=1)])
    limits.admit_stock([stock_row(2)])
    with pytest.raises(PlanOverturned):
        limits.admit_stock([stock_row(3)])


def test_approved_changes_don_t_count() -> None:
    """What a person has approved passes; the same item with another value does not."""
    approved = RiskyChange(PushKind.PRICE, 7, 0, "50")
    limits = SafetyLimits(SETTINGS, frozenset({approved}))
    limits.admit_prices([price_row(7, "100", "50"), price_row(8, "100", "50")])
    with pytest.raises(PlanOverturned):
        limits.admit_prices([price_row(7, "100", "40")])


def test_question_names_what_is_new() -> None:
    """The question has figures, examples and what to look at; what was approved is not asked about again."""
    survey = PlanSurvey(SafetyLimits(SETTINGS, frozenset({RiskyChange(PushKind.STOCK, 9, 1, "0")})), keeps_changes=True)
    for number in (1, 2, 3, 9):
        survey.add_stock(stock_row(number))
    assert survey.needs_approval
    assert "set 3 items to zero" in survey.question().text()
    assert "SKU-1 (3 → 0 at 1)" in survey.question().text()
    assert "SKU-9" not in survey.question().text()
    assert "(2)" in survey.question().text()  # the depots
    assert sum(held.is_risky for held in survey.take_changes()) == 4


@pytest.mark.parametrize(
    ("amount", "text"), [("199000.0000", "199000"), ("0.0000", "0"), ("1E+5", "100000"), ("4.50", "4.5"), ("-2", "-2")]
)
def test_amounts_are_plain(amount: str, text: str) -> None:
    """People read amounts without needless zeros or exponents."""
    assert amount_text(Decimal(amount)) == text


def test_dead_letters_speak_json() -> None:
    """Whoever reads what a dead letter keeps of a row sees ids and amounts, and no names of the program."""
    stock, price = dead_letter(stock_row(7), "because"), dead_letter(price_row(7, "199000.0000", "1E+5"), "because")
    assert orjson.loads(stock.payload)["key"] == {"product_id": 7, "variant_id": 7, "location_id": 1}
    kept = orjson.loads(price.payload)
    assert kept["key"] == {"product_id": 1, "variant_id": 7, "location_id": 0}
    assert (kept["price"], kept["compare_at_price"], kept["desired_price"]) == ("199000", None, "100000")
