"""What became of pushes, decided from Shopify's errors and from what it has now."""

from decimal import Decimal

import pytest

from daemon.api.pushes import PushKind, PushResult
from daemon.sources.shopify.levels import NAMES
from daemon.sources.shopify.models import ItemStock, PricePair, Quantities, QuantityName, Reading
from daemon.sources.shopify.writes import WriteError
from daemon.sync.products.reconciliation import STOCKED, verdict
from daemon.sync.products.rows import Key, StockRow
from daemon.sync.products.stock_decision import StockDecision, decide, moved
from daemon.sync.pushes import IntendedPush

STALE = "CHANGE_FROM_QUANTITY_STALE"
ELSEWHERE = 90  # what the quantity that a row is not about is


ROWS = [StockRow(Key(number, number, 1), number, number, None, 1, 3, 9, "because") for number in range(4)]


def decided(
    error: WriteError,
    levels: dict[int, int] | None,
    *,
    tracked: bool = True,
    was_repeated: bool = False,
    quantity: QuantityName = "available",
) -> StockDecision:
    """What is decided of the rows where the third is refused, and read again as these levels."""
    stock = {} if levels is None else {2: item_stock(levels, quantity, tracked=tracked)}
    return decide(ROWS, [error], Reading(stock), was_repeated=was_repeated, quantity=quantity)


def item_stock(levels: dict[int, int], quantity: QuantityName, *, tracked: bool = True) -> ItemStock:
    """An item that has so much of one quantity at these locations, and something else of the other."""
    return ItemStock(
        tracked,
        {
            location: Quantities(number, ELSEWHERE) if quantity == "available" else Quantities(ELSEWHERE, number)
            for location, number in levels.items()
        },
    )


def test_rows_without_an_error_are_sent_again() -> None:
    """Nothing of a refused call was set, so its sound rows go once more."""
    decision = decided(WriteError(2, STALE, "stale"), {1: 5})
    assert decision.sound == [ROWS[0], ROWS[1], ROWS[3]]
    assert [result for result, _ in decision.outcomes] == [
        PushResult.REFUSED,
        PushResult.REFUSED,
        PushResult.STALE,
        PushResult.REFUSED,
    ]


@pytest.mark.parametrize("quantity", NAMES)
def test_stale_row_takes_over_what_is_there_now(quantity: QuantityName) -> None:
    """A stale row gets the value that was read, of the quantity that it is about, be it none at all."""
    assert [row.present for row in decided(WriteError(2, STALE, "stale"), {1: 5}, quantity=quantity).moved] == [5]
    assert [row.present for row in decided(WriteError(2, STALE, "stale"), {}, quantity=quantity).moved] == [None]


def test_row_of_a_closed_location_is_refused() -> None:
    """Since Shopify sets quantities at any location, a refusal of the location is final."""
    assert decided(WriteError(2, "INVALID_LOCATION", "could not be found"), {}).refused[0][0] == ROWS[2]


def test_stale_row_of_a_repeated_call_was_set_by_it() -> None:
    """A call whose first answer was lost finds its own value, and only then is that ours."""
    assert decided(WriteError(2, STALE, "stale"), {1: 9}, was_repeated=True).set_by_us == [ROWS[2]]
    assert decided(WriteError(2, STALE, "stale"), {1: 9}).set_by_us == []


@pytest.mark.parametrize(("was_repeated", "result"), [(False, PushResult.STALE), (True, PushResult.UNKNOWN)])
def test_item_that_can_not_be_had_is_refused_alone(was_repeated: bool, result: PushResult) -> None:
    """It is not taken for gone, and its call is sent again without it."""
    stock: Reading[ItemStock] = Reading(unread={2: "Oops."})
    decision = decide(ROWS, [WriteError(2, STALE, "stale")], stock, was_repeated=was_repeated)
    ((row, reason),) = decision.refused
    assert (row, decision.outcomes[2][0], decision.sound) == (ROWS[2], result, [ROWS[0], ROWS[1], ROWS[3]])
    assert "is unknown: Oops." in reason


def test_item_that_is_gone_is_refused() -> None:
    """What Shopify does not have any more is a failed row."""
    assert decided(WriteError(2, STALE, "stale"), None).refused[0][0] == ROWS[2]
    assert decided(WriteError(2, "INVALID_INVENTORY_ITEM", "gone"), None).refused[0][0] == ROWS[2]


def test_item_that_is_no_longer_tracked_is_left_alone() -> None:
    """Stock that Shopify has stopped counting is not pushed any more."""
    assert decided(WriteError(2, STALE, "stale"), {1: 5}, tracked=False).untracked == [ROWS[2]]


def test_only_what_has_moved_is_read_again() -> None:
    """A row that is refused for itself needs no reading."""
    errors = [WriteError(0, STALE, "stale"), WriteError(1, "INVALID_QUANTITY_TOO_HIGH", "too high")]
    assert moved(ROWS, errors) == [ROWS[0]]


@pytest.mark.parametrize(
    ("levels", "result"),
    [
        ({1: 9}, PushResult.APPLIED),
        ({1: 3}, PushResult.UNKNOWN),
        ({1: 4}, PushResult.UNKNOWN),
        ({}, PushResult.UNKNOWN),
        (None, PushResult.UNKNOWN),
    ],
)
@pytest.mark.parametrize("quantity", NAMES)
def test_verdict_on_stock(levels: dict[int, int] | None, result: PushResult, quantity: QuantityName) -> None:
    """An interrupted push was applied where the new value of its quantity is seen; else nobody knows: it may come
    through yet."""
    name = None if quantity == "available" else quantity
    push = IntendedPush(PushKind.STOCK, 7, "3", "9", "because", item_id=70, location_id=1, name=name)
    stock = {} if levels is None else {70: item_stock(levels, quantity)}
    assert verdict(push, Reading(stock), Reading())[0] is result


@pytest.mark.parametrize(("levels", "result"), [({1: 4}, PushResult.APPLIED), ({2: 4}, PushResult.UNKNOWN)])
def test_verdict_on_an_activation(levels: dict[int, int], result: PushResult) -> None:
    """An activation was applied where the item is stocked."""
    push = IntendedPush(PushKind.ACTIVATION, 7, None, STOCKED, "because", item_id=70, location_id=1)
    assert verdict(push, Reading({70: item_stock(levels, "available")}), Reading())[0] is result


@pytest.mark.parametrize(
    ("kind", "old", "new", "result"),
    [
        (PushKind.PRICE, "1", "199000", PushResult.APPLIED),
        (PushKind.PRICE, "199000.00", "5", PushResult.UNKNOWN),
        (PushKind.PRICE, "1", "5", PushResult.UNKNOWN),
        (PushKind.COMPARE_AT_PRICE, "8", None, PushResult.APPLIED),
        (PushKind.COMPARE_AT_PRICE, None, "8", PushResult.UNKNOWN),
    ],
)
def test_verdict_on_prices(kind: PushKind, old: str | None, new: str | None, result: PushResult) -> None:
    """Prices are compared as numbers."""
    push = IntendedPush(kind, 7, old, new, "because")
    assert verdict(push, Reading(), Reading({7: PricePair(Decimal("199000.0000"), None)}))[0] is result


@pytest.mark.parametrize("kind", [PushKind.STOCK, PushKind.ACTIVATION, PushKind.PRICE, PushKind.COMPARE_AT_PRICE])
def test_verdict_on_what_can_not_be_had(kind: PushKind) -> None:
    """Nobody knows what became of it, and it is not said to be gone."""
    push = IntendedPush(kind, 7, "1", "5", "because", item_id=70, location_id=1)
    result, detail = verdict(push, Reading(unread={70: "Oops."}), Reading(unread={7: "Oops."}))
    assert (result, str(detail).endswith("is unknown: Oops.")) == (PushResult.UNKNOWN, True)
