"""The sandbox's shop: the same from the same seed, and as dirty as a real one."""

import re
import unicodedata
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sandbox.catalogue import OPENED, SNAPSHOT, Catalogue, Draws, generate


@pytest.fixture(scope="module")
def shop() -> Catalogue:
    return generate(7, products=400, customers=3000)


@given(seed=st.integers(0, 2**32), products=st.integers(0, 20), customers=st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_same_seed_same_shop(seed: int, products: int, customers: int) -> None:
    """Two shops of one seed and size are equal row by row."""
    first = generate(seed, products=products, customers=customers)
    second = generate(seed, products=products, customers=customers)
    assert first.goods == second.goods
    assert list(first.people) == list(second.people)
    assert first.depots == second.depots


def test_other_seed_other_shop() -> None:
    """A different seed makes a different shop."""
    assert generate(1, products=20, customers=20).goods != generate(2, products=20, customers=20).goods


def test_people_are_a_sequence(shop: Catalogue) -> None:
    """People made on demand are the same by iteration, index, negative index and slice; beyond the end is an error."""
    everyone = list(shop.people)
    assert len(everyone) == len(shop.people) == 3000
    assert shop.people[0] == everyone[0]
    assert shop.people[-1] == everyone[-1]
    assert list(shop.people[10:13]) == everyone[10:13]
    with pytest.raises(IndexError):
        shop.people[3000]


def test_growing_a_shop_keeps_its_rows(shop: Catalogue) -> None:
    """A bigger shop of the same seed begins with the smaller one's rows."""
    bigger = generate(7, products=410, customers=3010)
    assert bigger.goods[: len(shop.goods)] == shop.goods
    assert bigger.people[2999] == shop.people[2999]


def test_numbers_and_variants_are_consistent(shop: Catalogue) -> None:
    """Goods are numbered from 1, and the goods of a product lie together with different option values."""
    assert [good.number for good in shop.goods] == list(range(1, len(shop.goods) + 1))
    assert all(0 <= later.product_number - good.product_number <= 1 for good, later in pairwise(shop.goods))
    assert len({(good.product_number, good.option_values) for good in shop.goods}) == len(shop.goods)
    assert all(len(good.option_values) == len(good.option_names) for good in shop.goods)


@pytest.mark.parametrize("variants", [1, 250, 2048])
def test_a_product_may_have_thousands_of_variants(variants: int) -> None:
    """The first product has as many different variants as asked for, with at most three options as Shopify allows."""
    goods = generate(1, products=3, customers=0, big_product_variants=variants).goods
    first = [good for good in goods if good.product_number == 1]
    assert len(first) == variants
    assert len({good.option_values for good in first}) == variants
    assert {len(good.option_names) for good in first} <= {0, 1, 2, 3}


def test_money_and_times_are_sensible(shop: Catalogue) -> None:
    """Prices are whole thousands of đồng, a former price is higher, and nothing is older than the shop."""
    for good in shop.goods:
        assert good.price % 1000 == 0
        assert 10_000 <= good.price <= 10_000_000
        assert good.compare_at_price is None or good.compare_at_price > good.price
        assert OPENED <= good.created_at <= good.updated_at <= SNAPSHOT


def test_goods_have_the_dirt_of_real_shops() -> None:
    """Shared SKUs, other spellings at Nhanh, missing barcodes, negative stock, odd and decomposed characters occur."""
    shop = generate(7, products=2000, customers=0)
    skus = Counter(good.sku for good in shop.goods)
    assert any(count > 1 for count in skus.values())
    assert any(good.code != good.sku and good.code.strip() == good.sku for good in shop.goods)
    assert any(good.code != good.sku and good.code.upper() == good.sku for good in shop.goods)
    assert any(not good.barcode for good in shop.goods)
    assert any(available < 0 for good in shop.goods for available in good.stock.values())
    names = [good.product_name for good in shop.goods]
    assert all(any(mark in name for name in names) for mark in ('"', "🔥", "\n", "<b>", "\\"))
    assert any(unicodedata.is_normalized("NFC", name) is False for name in names)


def test_barcodes_have_their_check_digit(shop: Catalogue) -> None:
    """Every barcode is a valid EAN-13."""
    for good in shop.goods:
        if good.barcode:
            weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(good.barcode))
            assert len(good.barcode) == 13
            assert weighted % 10 == 0


def test_phones_have_all_usual_spellings(shop: Catalogue) -> None:
    """Every spelling that Vietnamese people use occurs, shared and missing numbers too."""
    spellings = [person.phone_spelling for person in shop.people]
    forms = (r"0\d{9}", r"84\d{9}", r"\+84\d{9}", r"0084\d{9}", r"01\d{9}", r"[35789]\d{8}", r"\d{4} \d{3} \d{3}")
    punctuated = (
        r"\d{4}\.\d{3}\.\d{3}",
        r"\d{3}-\d{3}-\d{4}",
        r"\(\+84\) \d{2} \d{3} \d{4}",
        r"\+84 0\d{9}",
        "",
        "không có",
    )
    for form in (*forms, *punctuated):
        assert any(re.fullmatch(form, spelling) for spelling in spellings), form
    phones = Counter(person.phone for person in shop.people if person.phone)
    assert any(count > 1 for count in phones.values())


def test_canonical_phone_is_what_the_spelling_means(shop: Catalogue) -> None:
    """`phone` is the E.164 number of `phone_spelling`: the same last seven digits, and nine digits behind +84."""
    for person in shop.people:
        if person.phone:
            assert re.fullmatch(r"\+84[35789]\d{8}", person.phone)
            assert re.sub(r"\D", "", person.phone_spelling)[-7:] == person.phone[-7:]


def test_draws_do_not_run_dry() -> None:
    """However many numbers are drawn from one digest, they stay even."""
    draws = Draws(1, "dry", 1)
    counts = Counter(draws.below(10) for _ in range(20_000))
    assert set(counts) == set(range(10))
    assert all(1700 < count < 2300 for count in counts.values())
