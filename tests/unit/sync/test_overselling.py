"""What the combinations of Nhanh.vn's figure and Shopify's quantity sell twice, and what they do not."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from daemon.config import ProductSyncSettings
from daemon.sync.products.quantity_words import POLICIES, policy_of
from tests.support.two_shops import SyncStep, TwoShops

T = TypeVar("T")
Combination = tuple[str, str]  # the figure and the quantity

COMBINATIONS: Sequence[Combination] = [
    ("available", "available"),
    ("remain", "available"),
    ("remain", "on_hand"),
    ("available", "on_hand"),
]
OWN: Mapping[str, Callable[[TwoShops], Any]] = {
    "buy": TwoShops.buy_at_shopify,
    "take": TwoShops.take,
    "send": TwoShops.send,
    "fulfil": TwoShops.fulfil,
    "cancel": TwoShops.cancel,
    "receive": TwoShops.receive,
    "sync on": TwoShops.sync_on,
}
WITH_OTHERS = {
    **{name: act for name, act in OWN.items() if name != "sync on"},
    "buy elsewhere": TwoShops.buy_elsewhere,
    "fulfil early": lambda shops: shops.fulfil(early=True),
}


def of(combination: Combination) -> ProductSyncSettings:
    figure, quantity = combination
    return ProductSyncSettings.model_validate({"locations": {"1": (1,)}, "stock_figure": figure, "quantity": quantity})


def histories(acts: Mapping[str, Any]) -> st.SearchStrategy[tuple[int, list[str]]]:
    """How many pieces there are, and what happens. New pieces would hide what is sold twice, so they are rare."""
    drawn = [act for act in sorted(acts) for _ in range(1 if act in ("cancel", "receive") else 4)]
    return st.tuples(st.integers(1, 2), st.lists(st.sampled_from(drawn), min_size=20, max_size=100))


def one_of(drawn: st.SearchStrategy[T], condition: Callable[[T], bool]) -> T:
    """Any that meets the condition; there must be one."""
    return find(drawn, condition, settings=settings(phases=[Phase.generate], max_examples=2_000))


def among_themselves(
    combination: Combination, history: tuple[int, list[str]], steps: Sequence[SyncStep] = tuple(SyncStep)
) -> TwoShops:
    """Only Shopify sells; everything comes as late as it likes, also in the middle of a sync."""
    pieces, acts = history
    shops = TwoShops(of(combination), pieces, steps=steps)
    for act in acts:
        OWN[act](shops)
    return shops


def with_others(combination: Combination, history: tuple[int, list[str]]) -> TwoShops:
    """Other channels sell, too; each change is synced at once, but Nhanh.vn learns late of Shopify's orders."""
    pieces, acts = history
    shops = TwoShops(of(combination), pieces)
    for act in acts:
        WITH_OTHERS[act](shops)
        shops.sync()
    return shops


@pytest.mark.parametrize("figure", ["remain", "available"])
@given(history=histories(OWN))
@settings(max_examples=300)
def test_by_what_is_on_hand_shopify_sells_none_of_its_own_orders_twice(
    figure: str, history: tuple[int, list[str]]
) -> None:
    """However late Nhanh.vn learns of them, and whatever is sent and fulfilled while a sync is under way."""
    assert among_themselves((figure, "on_hand"), history).sold_twice == 0


@given(history=histories(WITH_OTHERS))
@settings(max_examples=300)
def test_by_what_is_available_there_as_well_nothing_is_sold_twice(history: tuple[int, list[str]]) -> None:
    """Neither what other channels have sold nor what Shopify marks as fulfilled before it is sent."""
    assert with_others(("available", "on_hand"), history).sold_twice == 0


@pytest.mark.parametrize("combination", [each for each in COMBINATIONS if each[1] == "available"])
def test_by_what_is_available_at_shopify_it_sells_its_own_orders_twice(combination: Combination) -> None:
    """There is a history that shows it, without anybody else."""
    assert one_of(histories(OWN), lambda history: among_themselves(combination, history).sold_twice > 0)


@pytest.mark.parametrize("figure", ["remain", "available"])
def test_nhanh_is_read_after_shopify(figure: str) -> None:
    """The other way round, an order that is sent and fulfilled between the two would be sold again."""
    other_way = (SyncStep.READ_NHANH, SyncStep.READ_SHOPIFY, SyncStep.PUSH)
    assert one_of(
        histories(OWN), lambda history: among_themselves((figure, "on_hand"), history, other_way).sold_twice > 0
    )


@pytest.mark.parametrize("combination", [each for each in COMBINATIONS if each != ("available", "on_hand")])
def test_every_other_combination_sells_something_twice(combination: Combination) -> None:
    """There is a history that shows it, however fast the sync, where other channels sell too."""
    assert one_of(histories(WITH_OTHERS), lambda history: with_others(combination, history).sold_twice > 0)


def test_exactly_the_combinations_that_sell_twice_are_warned_of() -> None:
    """What `dongbo check` says is what the model shows."""
    warned = {combination for combination in COMBINATIONS if policy_of(of(combination)).risk is not None}
    assert warned == set(COMBINATIONS) - {("available", "on_hand")}
    assert POLICIES.keys() == set(COMBINATIONS)


# ── The examples of the README: what Shopify offers after each step, and its sync ───────────────────────────────────


@pytest.mark.parametrize(
    ("combination", "offered"),
    [
        (("available", "available"), [1, 0, 0, 0]),
        (("remain", "available"), [1, 1, 0, 0]),
        (("remain", "on_hand"), [0, 0, -1, 0]),
        (("available", "on_hand"), [0, -1, -1, 0]),
    ],
)
def test_one_piece_is_left_and_ordered_at_shopify(combination: Combination, offered: list[int]) -> None:
    """Nhanh.vn does not know the order yet; it takes it; the piece is sent; Shopify marks the order as fulfilled."""
    shops, found = TwoShops(of(combination), 1), []
    for act in (TwoShops.buy_at_shopify, TwoShops.take, TwoShops.send, TwoShops.fulfil):
        act(shops)
        shops.sync()
        found.append(shops.offered)
    assert found == offered


@pytest.mark.parametrize(
    ("combination", "offered"),
    [
        (("available", "available"), [0, 0]),
        (("remain", "available"), [1, 0]),
        (("remain", "on_hand"), [1, 0]),
        (("available", "on_hand"), [0, 0]),
    ],
)
def test_one_piece_is_left_and_ordered_elsewhere(combination: Combination, offered: list[int]) -> None:
    """Nhanh.vn holds it for the order; the piece is sent."""
    shops, found = TwoShops(of(combination), 1), []
    for act in (TwoShops.buy_elsewhere, TwoShops.send):
        act(shops)
        shops.sync()
        found.append(shops.offered)
    assert found == offered


def test_an_order_that_is_fulfilled_before_it_is_sent() -> None:
    """All that lies in the depot is offered: the piece, too, until Nhanh.vn takes it off."""
    offered = {}
    for combination in COMBINATIONS:
        shops = TwoShops(of(combination), 1)
        shops.buy_at_shopify()
        shops.take()
        shops.fulfil(early=True)
        shops.sync()
        offered[combination] = shops.offered
    assert offered == {
        ("available", "available"): 0,
        ("remain", "available"): 1,
        ("remain", "on_hand"): 1,
        ("available", "on_hand"): 0,
    }
