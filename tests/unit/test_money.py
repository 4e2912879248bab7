"""Money knows its currency."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.money import VND, Currency, CurrencyMismatch, Money

USD = Currency("USD")
CODES = st.sampled_from(["VND", "JPY", "KRW", "USD", "EUR", "BHD", "KWD"])
AMOUNTS = st.decimals(0, 10**12, allow_nan=False, places=4)


@pytest.mark.parametrize(("code", "digits"), [("VND", 0), ("JPY", 0), ("KRW", 0), ("USD", 2), ("KWD", 3), ("XYZ", 2)])
def test_minor_units_are_those_of_iso_4217(code: str, digits: int) -> None:
    """Most currencies have two digits, some none, a few three."""
    assert Currency(code).digits == digits


def test_amounts_of_two_currencies_are_never_mixed() -> None:
    """They are neither compared nor added up."""
    with pytest.raises(CurrencyMismatch, match=r"1\.00 USD is not an amount in VND"):
        _ = Money(Decimal(1_000), VND) < Money(Decimal(1), USD)
    with pytest.raises(CurrencyMismatch):
        _ = Money(Decimal(1_000), VND) + Money(Decimal(1), USD)
    assert Money(Decimal(1), USD) != Money(Decimal(1), VND)
    assert Money(Decimal(1), VND) + Money(Decimal(2), VND) == Money(Decimal(3), VND)


@given(CODES, AMOUNTS)
def test_a_rounded_amount_stays_as_it_is(code: str, amount: Decimal) -> None:
    """It is at most half a minor unit away, and rounding it again changes nothing."""
    currency = Currency(code)
    rounded = currency.rounded(amount)
    assert abs(rounded - amount) <= Decimal("0.5").scaleb(-currency.digits)
    assert currency.rounded(rounded) == rounded


@given(CODES, AMOUNTS, st.sampled_from([0, 5, 8, 10]))
def test_vat_comes_off_as_it_went_on(code: str, amount: Decimal, rate: int) -> None:
    """But for what rounding takes away."""
    money = Money(Currency(code).rounded(amount), Currency(code))
    back = money.with_percent(Decimal(rate)).without_percent(Decimal(rate))
    assert abs(back.amount - money.amount) <= Decimal(1).scaleb(-money.currency.digits)
