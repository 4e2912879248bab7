"""Every trouble from the field that a running sandbox can be put into, by name: the one table of them.

A situation is on inside the context that its function makes, and off after it. A new one is a row here, a context in
`daemon.sandbox.staging`, and a check in `tests/integration/sandbox/test_situations.py`.
"""

import difflib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import structlog

from daemon.errors import DongboError, ExitCode
from daemon.sandbox.staging import answers, goods, shops
from daemon.sandbox.staging.shops import CLOCKS_APART
from daemon.sandbox.staging.stage import Stage

log = structlog.get_logger()


class UnknownSituation(DongboError):
    """There is no situation of this name."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Situation:
    """One trouble.

    Args:
        name: what it is switched on by.
        text: what is true in the sandbox, in a sentence.
        expect: what dongbo should say or do.
        stage: the context in which it is true. It may raise `ShopTooSmall`, and then has changed nothing.
    """

    name: str
    text: str
    expect: str
    stage: Callable[[Stage], AbstractContextManager[None]]


_TABLE = (
    # ── The shop as a whole
    Situation(
        "other-currency",
        "Shopify's shop sells in dollars (in euros, if it did so before).",
        "Prices and totals are not pushed, and the job says why; stock is.",
        shops.other_currency,
    ),
    Situation(
        "prices-without-tax",
        "Shopify's prices are without tax (`taxesIncluded` is false).",
        "Shopify gets the price without VAT; the first sync that would change prices this way asks a person.",
        shops.prices_without_tax,
    ),
    Situation(
        "prices-without-vat",
        "Nhanh.vn's prices are without VAT, as is its default.",
        "Shopify gets the price with VAT on top; the first sync that would change prices this way asks a person.",
        shops.prices_without_vat,
    ),
    *(
        Situation(
            name,
            f"{whose} 20 minutes {'ahead' if sign > 0 else 'behind'}.",
            "No change is missed; `dongbo doctor` reports the difference, and no sale starts or ends by a wrong clock.",
            shops.clocks(nhanh=sign * nhanh * CLOCKS_APART, shopify=sign * shopify * CLOCKS_APART),
        )
        for name, whose, sign, nhanh, shopify in (
            ("nhanh-clock-ahead", "Nhanh.vn's clock is", 1, 1, 0),
            ("nhanh-clock-behind", "Nhanh.vn's clock is", -1, 1, 0),
            ("shopify-clock-ahead", "Shopify's clock is", 1, 0, 1),
            ("shopify-clock-behind", "Shopify's clock is", -1, 0, 1),
            ("clocks-ahead", "Both clocks are", 1, 1, 1),
            ("clocks-behind", "Both clocks are", -1, 1, 1),
        )
    ),
    Situation(
        "other-shop",
        "Another Shopify shop answers at the same address.",
        "The next pull is a full one and says why; a daemon that starts before it pushes nothing.",
        shops.other_shop,
    ),
    Situation(
        "other-business",
        "Another business answers at Nhanh.vn's address, and does not know ours.",
        "Nhanh.vn jobs fail, and say that `business_id` must be corrected.",
        shops.other_business,
    ),
    Situation(
        "closed-location",
        "The last location is deactivated.",
        "Everything else is pushed; the job, the page and `check --live` name the location.",
        shops.closed_location,
    ),
    Situation(
        "deleted-location",
        "The last location is deleted.",
        "The same as for a closed one.",
        shops.deleted_location,
    ),
    Situation(
        "protected-fields",
        "The app is not approved to read customers' phone numbers.",
        "The rest is stored, and known phone numbers stay; the job and `check --live` say where to request access.",
        shops.protected_fields,
    ),
    Situation(
        "metafield-type",
        "The shop defines `custom.total_spent` as boolean, which can't hold a total.",
        "The customer sync says so before it tries anything, and so does `check --live`.",
        shops.metafield_type,
    ),
    Situation(
        "odd-phones",
        "Customers of Nhanh.vn have phones such as `0912345678-0987654321`, `912345678.0` and `0912345678 ext 12`.",
        "The obvious number, or both numbers, are read and matched.",
        shops.odd_phones,
    ),
    # ── Goods
    Situation(
        "placeholder-keys",
        "Unrelated goods have the barcode `N/A` or `0`, or the SKU `-`, on both sides.",
        "They do not match; `dongbo map list` names the reason.",
        goods.placeholder_keys,
    ),
    Situation(
        "invisible-characters",
        "SKUs in Nhanh.vn are surrounded by invisible characters (U+202A, U+202C).",
        "They match as if those were not there.",
        goods.invisible_characters,
    ),
    Situation(
        "archived-copy",
        "A product is archived, and its copy with the same SKUs is on sale.",
        "The copy gets the stock.",
        goods.archived_copy,
    ),
    Situation(
        "gift-card",
        "A product is a gift card.",
        "It gets no price and is never on sale unless named explicitly; the job names it.",
        goods.gift_card,
    ),
    Situation(
        "bundle",
        "A variant is a bundle's parent.",
        "It gets neither stock nor price; the job names it.",
        goods.bundle,
    ),
    Situation(
        "subscription",
        "A product is sold by subscription only.",
        "It gets no price and is never on sale unless named explicitly; the job names it.",
        goods.subscription,
    ),
    Situation(
        "combined-listing",
        "A product is the parent of a combined listing.",
        "It gets no price and is never on sale unless named explicitly; the job names it.",
        goods.combined_listing,
    ),
    Situation(
        "combo",
        "A Nhanh.vn product is a combo of two of one product and one of another, without stock of its own.",
        "Shopify gets as many sets as its components make, at each location.",
        goods.combo,
    ),
    Situation(
        "voucher-and-service",
        "One Nhanh.vn product is a voucher and one a service, without stock.",
        "Their stock is left alone, not set to 0.",
        goods.no_stock_kinds,
    ),
    Situation(
        "goods-by-weight",
        "There are 2.6 kg of a product that is sold by weight.",
        "Shopify gets 2.",
        goods.goods_by_weight,
    ),
    Situation(
        "fractional-prices",
        "Nhanh.vn prices have fractions, such as 100333.4.",
        "Shopify gets them without the fraction, once: the next sync changes nothing.",
        goods.fractional_prices,
    ),
    Situation(
        "rounded-prices",
        "Shopify rounds prices down to thousands, and Nhanh.vn's end in 500.",
        "After the second attempt the price is left alone, and the job says so.",
        goods.rounded_prices,
    ),
    Situation(
        "inactive-levels",
        "Three goods are stocked at no location, two of them with earlier quantities.",
        "They are activated, and end up with what Nhanh.vn says.",
        goods.inactive_levels,
    ),
    Situation(
        "adding-quantities",
        "The same, and setting a quantity there adds to the earlier one, as has been reported.",
        "They end up with what Nhanh.vn says: nothing is added twice.",
        goods.adding_quantities,
    ),
    Situation(
        "shared-stock",
        "Two variants share one inventory item.",
        "One value is set, or none where Nhanh.vn has two; the job names them.",
        goods.shared_stock,
    ),
    Situation(
        "refused-stock-rows",
        "Shopify refuses to set the stock of two goods, and names them.",
        "These two are failed rows with Shopify's reason; the rest of the batch is set in the same run.",
        goods.refused_rows,
    ),
    Situation(
        "unnamed-refusals",
        "The same, but Shopify does not say which rows it refuses.",
        "As above: the two are found by halving the batch.",
        goods.unnamed_refusals,
    ),
    # ── Answers
    Situation(
        "odd-statuses",
        "One call in five ends in HTTP 430, 408, 425 or one of 520 to 530, on both sides.",
        "They are tried again; the job shows how many retries there were.",
        answers.statuses(*answers.ODD_STATUSES),
    ),
    Situation(
        "locked-shop",
        "Shopify answers HTTP 423.",
        "Shopify jobs fail at once: the shop is locked.",
        answers.statuses(423, path=answers.GRAPHQL, every=1),
    ),
    Situation(
        "frozen-shop",
        "Shopify answers HTTP 402.",
        "Shopify jobs fail at once: the shop is frozen.",
        answers.statuses(402, path=answers.GRAPHQL, every=1),
    ),
    Situation(
        "large-pages-fail",
        "Shopify answers INTERNAL_SERVER_ERROR to pages of more than 20 rows.",
        "Pages shrink until they pass, and every row is stored.",
        answers.large_pages_fail,
    ),
    Situation(
        "errors-without-code",
        "One in five of Shopify's answers is an error with a text but no code.",
        "It is tried again.",
        answers.answers(answers.without_code),
    ),
    Situation(
        "errors-as-text",
        "One in five of Shopify's answers has a text as `errors`.",
        "It is tried again.",
        answers.answers(answers.as_text),
    ),
    Situation(
        "unreadable-row",
        "The variants of one product can't be read: null, with an error.",
        "It becomes a dead letter with Shopify's reason; all others are stored, and none of its variants is deleted.",
        answers.unreadable_row,
    ),
    Situation(
        "poisonous-row",
        "Every answer that contains one particular product fails.",
        "It becomes a dead letter; all others are stored.",
        answers.poisonous_row,
    ),
    Situation(
        "unreadable-variants",
        "A product has more than 300 variants, and further pages of them are `product: null`.",
        "It becomes a dead letter; nothing of it is deleted.",
        answers.unreadable_variants,
    ),
    Situation(
        "refused-cursor",
        "Nhanh.vn refuses all cursors that it gave out earlier, and Shopify the next one.",
        "The pull starts over at once, and says so.",
        answers.refused_cursors,
    ),
    Situation(
        "older-api-version",
        "Shopify's answers say that they are from version 2026-07 of the API.",
        "A warning, once; `check --live` and `dongbo doctor` name the version.",
        answers.version("2026-07"),
    ),
    Situation(
        "later-api-version",
        "Shopify's answers say that they are from version 2027-07 of the API, as after the end of the requested one.",
        "A warning, once; `check --live` and `dongbo doctor` name the version.",
        answers.version("2027-07"),
    ),
    Situation(
        "deprecated-calls",
        "Shopify's answers say that the call will be removed soon.",
        "A warning, once; `check --live` and `dongbo doctor` give the reason.",
        answers.deprecated_calls,
    ),
    # ── Calls
    Situation(
        "late-writes",
        "One in five calls that write to Shopify is carried out only after its caller has given up waiting.",
        "The present state is read before anything is repeated, and each write's outcome is right in the end.",
        answers.late_writes,
    ),
    Situation(
        "lost-answers",
        "One in five calls that write to Shopify is carried out, but its answer is lost.",
        "The same as for late ones; nothing is written twice.",
        answers.lost_answers,
    ),
    Situation(
        "forgotten-keys",
        "Shopify carries out a repeated call although it has already seen its idempotency key.",
        "Nothing is written twice: quantities are set by compare-and-set.",
        answers.forgotten_keys,
    ),
)

SITUATIONS: Mapping[str, Situation] = {situation.name: situation for situation in _TABLE}


def find(name: str) -> Situation:
    """The situation of this name.

    Raises:
        UnknownSituation: there is none; its text lists those that may have been meant.
    """
    if name in SITUATIONS:
        return SITUATIONS[name]
    close = difflib.get_close_matches(name.casefold(), SITUATIONS, n=3, cutoff=0.6)
    meant = f"did you mean {' or '.join(close)}? All" if close else "all"
    raise UnknownSituation(f'there is no situation "{name}": {meant} are listed by `dongbo sandbox --list-situations`')


class Rehearsal:
    """Which situations a running sandbox is in.

    Args:
        stage: the shops.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._on: dict[str, AbstractContextManager[None]] = {}

    def is_on(self, name: str) -> bool:
        """Whether the sandbox is in it."""
        return name in self._on

    def switch_on(self, name: str) -> None:
        """Put the sandbox into a situation; nothing happens if it is already in it.

        Raises:
            UnknownSituation: there is none of this name.
            ShopTooSmall: it has too few goods or locations for it.
        """
        situation = find(name)
        if name in self._on:
            return
        context = situation.stage(self._stage)
        context.__enter__()
        self._on[name] = context
        log.info("situation_switched", name=name, on=True)

    def switch_off(self, name: str) -> None:
        """Take the sandbox out of a situation; nothing happens if it is not in it.

        Raises:
            UnknownSituation: there is none of this name.
        """
        context = self._on.pop(find(name).name, None)
        if context is not None:
            context.__exit__(None, None, None)
            log.info("situation_switched", name=name, on=False)

    def close(self) -> None:
        """Take the sandbox out of all situations."""
        for name in list(self._on):
            self.switch_off(name)
