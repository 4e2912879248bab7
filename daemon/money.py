"""Money and its currency: amounts of different currencies are never compared, added up or pushed."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from daemon.errors import DongboError

# ISO 4217: how many digits the minor unit of a currency has. Shopify's MoneyV2 is a decimal number "that supports
# arbitrary precision" and names no currency that ends earlier: where it rounds all the same, that shows after the push.
USUAL_DIGITS = 2
DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"), 0),
    **dict.fromkeys(("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


class CurrencyMismatch(DongboError):
    """Amounts of two currencies would have been mixed; nothing was done."""


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency by its ISO 4217 code."""

    code: str

    @property
    def digits(self) -> int:
        """How many digits an amount has after the decimal point."""
        return DIGITS.get(self.code, USUAL_DIGITS)

    def can_hold(self, amount: Decimal) -> bool:
        """Whether such an amount exists in this currency: half a đồng does not."""
        return amount == self.rounded(amount)

    def rounded(self, amount: Decimal) -> Decimal:
        """The nearest amount that exists in this currency; a half is rounded up, as by PostgreSQL's `round`."""
        return amount.quantize(Decimal(1).scaleb(-self.digits), ROUND_HALF_UP)

    def __str__(self) -> str:
        return self.code


VND = Currency("VND")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount that knows its currency."""

    amount: Decimal
    currency: Currency

    def __str__(self) -> str:
        return f"{self.amount:,.{self.currency.digits}f} {self.currency}"

    def __lt__(self, other: "Money") -> bool:
        return self.amount < other.amount_in(self.currency)

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + other.amount_in(self.currency), self.currency)

    def with_percent(self, rate: Decimal) -> "Money":
        """This many percent more, such as with VAT; rounded to an amount that exists in the currency."""
        return Money(self.currency.rounded(self.amount * (100 + rate) / 100), self.currency)

    def without_percent(self, rate: Decimal) -> "Money":
        """The reverse: what it was before that many percent were added."""
        return Money(self.currency.rounded(self.amount * 100 / (100 + rate)), self.currency)

    def amount_in(self, currency: Currency) -> Decimal:
        """The bare amount for code that calculates in `currency`; raises CurrencyMismatch where this is another one."""
        if self.currency != currency:
            raise CurrencyMismatch(f"{self} is not an amount in {currency}, and there is no exchange between the two.")
        return self.amount


def amount_text(amount: Decimal) -> str:
    """An amount in digits, without needless zeros or an exponent."""
    return f"{amount.normalize():f}" if amount else "0"


def amount_text_or_none(amount: Decimal | None) -> str | None:
    """The same for an amount that may be missing."""
    return None if amount is None else amount_text(amount)
