"""All SQL on `dongbo.shopify_shops`: which currency a shop uses, and whether its prices include the tax."""

from dataclasses import dataclass

from daemon.database.pool import Connection
from daemon.ids import StoreName
from daemon.money import Currency

GET = "SELECT currency, taxes_included, vat_agreed FROM dongbo.shopify_shops WHERE store = $1"

# Agreeing to prices with VAT is not agreeing to prices without it, nor the other way round.
NOTE = """
INSERT INTO dongbo.shopify_shops AS known (store, currency, taxes_included) VALUES ($1, $2, $3)
ON CONFLICT (store) DO UPDATE SET
    currency = CASE WHEN $4 THEN excluded.currency ELSE known.currency END, taxes_included = excluded.taxes_included,
    vat_agreed = known.vat_agreed AND known.taxes_included = excluded.taxes_included, read_at = clock_timestamp()
"""

AGREE_TO_VAT = "UPDATE dongbo.shopify_shops SET vat_agreed = true WHERE store = $1"


@dataclass(frozen=True, slots=True)
class Shop:
    """What prices mean in a shop.

    Args:
        currency: that of the mirrored prices.
        taxes_included: whether prices are what a customer pays, VAT and all.
        vat_agreed: whether a person has approved the prices that follow from that.
    """

    currency: Currency
    taxes_included: bool
    vat_agreed: bool = False


async def get(connection: Connection, store: StoreName) -> Shop | None:
    """What is known about a shop; None before it was first read."""
    row = await connection.fetchrow(GET, store)
    return Shop(Currency(row["currency"]), row["taxes_included"], row["vat_agreed"]) if row else None


async def note(
    connection: Connection, store: StoreName, currency: Currency, *, taxes_included: bool, all_prices_read: bool = False
) -> None:
    """Note what a shop says about itself.

    The currency of the mirrored prices stays what it was until all of them have been read in another one.
    """
    await connection.execute(NOTE, store, currency.code, taxes_included, all_prices_read)


async def agree_to_vat(connection: Connection, store: StoreName) -> None:
    """Note that a person has approved prices that now include VAT, or no longer do."""
    await connection.execute(AGREE_TO_VAT, store)
