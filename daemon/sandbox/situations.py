"""Every trouble of the field that a running sandbox can be put into, by name: the one table of them.

A situation is on inside the context that its function makes, and off behind it. A new one is a row here, a context in
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
        text: what is so in the sandbox, in a sentence.
        expect: what dongbo is to say or do.
        stage: the context in which it is so. It may raise `ShopTooSmall`, and then has changed nothing.
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
        "Shopify gets the price without VAT; the first sync that would change prices so asks a person.",
        shops.prices_without_tax,
    ),
    Situation(
        "prices-without-vat",
        "Nhanh.vn's prices are without VAT, as is its default.",
        "Shopify gets the price with VAT on top; the first sync that would change prices so asks a person.",
        shops.prices_without_vat,
    ),
    *(
        Situation(
            name,
            f"{whose} 20 minutes {'ahead' if sign > 0 else 'behind'}.",
            "No change is missed; `dongbo doctor` names the difference, and no sale starts or ends by a wrong clock.",
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
        "Another shop of Shopify's answers at the same address.",
        "The next pull is a full one and says why; a daemon that starts before it pushes nothing.",
        shops.other_shop,
    ),
    Situation(
        "other-business",
        "Another business answers at Nhanh.vn's address, and does not know ours.",
        "Jobs of Nhanh.vn fail, and name `business_id` as what to correct.",
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
        "As for one that is closed.",
        shops.deleted_location,
    ),
    Situation(
        "protected-fields",
        "The app is not approved to read customers' phone numbers.",
        "The rest is stored, phone numbers that were known stay; job and `check --live` say where to ask for access.",
        shops.protected_fields,
    ),
    Situation(
        "metafield-type",
        "The shop defines `custom.total_spent` as boolean, which holds no total.",
        "The customer sync says so before it tries anything, and so does `check --live`.",
        shops.metafield_type,
    ),
    Situation(
        "odd-phones",
        "Customers of Nhanh.vn have phones such as `0912345678-0987654321`, `912345678.0` and `0912345678 ext 12`.",
        "The obvious number, or both, are read and matched.",
        shops.odd_phones,
    ),
    # ── Goods
    Situation(
        "placeholder-keys",
        "Goods that have nothing to do with each other have the barcode `N/A` or `0`, or the SKU `-`, on both sides.",
        "They do not match; `dongbo map list` names the reason.",
        goods.placeholder_keys,
    ),
    Situation(
        "invisible-characters",
        "SKUs of Nhanh.vn stand between invisible characters (U+202A, U+202C).",
        "They match as if these were not there.",
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
        "It gets no price and is never on sale, unless it is named; the job names it.",
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
        "It gets no price and is never on sale, unless it is named; the job names it.",
        goods.subscription,
    ),
    Situation(
        "combined-listing",
        "A product is the parent of a combined listing.",
        "It gets no price and is never on sale, unless it is named; the job names it.",
        goods.combined_listing,
    ),
    Situation(
        "combo",
        "A product of Nhanh.vn is a combo of two and one of others, and has no stock of its own.",
        "Shopify gets as many sets as its components make, at each location.",
        goods.combo,
    ),
    Situation(
        "voucher-and-service",
        "Of Nhanh.vn's products, one is a voucher and one a service, without stock.",
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
        "Prices of Nhanh.vn have a fraction, such as 100333.4.",
        "Shopify gets them without it, once: the next sync changes nothing.",
        goods.fractional_prices,
    ),
    Situation(
        "rounded-prices",
        "Shopify rounds prices down to thousands, and Nhanh.vn's end on 500.",
        "After the second time the price is left alone, and the job says so.",
        goods.rounded_prices,
    ),
    Situation(
        "inactive-levels",
        "Three goods are stocked at no location, two of them with quantities of before.",
        "They are activated, and have afterwards what Nhanh.vn says.",
        goods.inactive_levels,
    ),
    Situation(
        "adding-quantities",
        "The same, and setting a quantity there adds to what was there before, as has been reported.",
        "They have afterwards what Nhanh.vn says: nothing is added twice.",
        goods.adding_quantities,
    ),
    Situation(
        "shared-stock",
        "Two variants are sold out of one inventory item.",
        "One value is set, or none where Nhanh.vn says two; the job names them.",
        goods.shared_stock,
    ),
    Situation(
        "refused-stock-rows",
        "Shopify refuses to set the stock of two goods, by naming them.",
        "These two are failed rows with Shopify's words; the others of the batch are set in the same run.",
        goods.refused_rows,
    ),
    Situation(
        "unnamed-refusals",
        "The same, and Shopify does not say which rows it refuses.",
        "As above: the two are found by halving the batch.",
        goods.unnamed_refusals,
    ),
    # ── Answers
    Situation(
        "odd-statuses",
        "One call in five ends in HTTP 430, 408, 425 or one of 520 to 530, on both sides.",
        "They are tried again; the job tells how many retries there were.",
        answers.statuses(*answers.ODD_STATUSES),
    ),
    Situation(
        "locked-shop",
        "Shopify answers HTTP 423.",
        "Jobs of Shopify fail at once: the shop is locked.",
        answers.statuses(423, path=answers.GRAPHQL, every=1),
    ),
    Situation(
        "frozen-shop",
        "Shopify answers HTTP 402.",
        "Jobs of Shopify fail at once: the shop is frozen.",
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
        "One answer of Shopify's in five is an error that has a text and no code.",
        "It is tried again.",
        answers.answers(answers.without_code),
    ),
    Situation(
        "errors-as-text",
        "In one answer of Shopify's in five, `errors` is a text.",
        "It is tried again.",
        answers.answers(answers.as_text),
    ),
    Situation(
        "unreadable-row",
        "The variants of one product can't be had: null, with an error.",
        "It is a dead letter with Shopify's words; all others are stored, and none of its variants is deleted.",
        answers.unreadable_row,
    ),
    Situation(
        "poisonous-row",
        "Every answer fails that one product is in.",
        "It is a dead letter; all others are stored.",
        answers.poisonous_row,
    ),
    Situation(
        "unreadable-variants",
        "A product has more than 300 variants, and further pages of them are `product: null`.",
        "It is a dead letter; nothing of it is deleted.",
        answers.unreadable_variants,
    ),
    Situation(
        "refused-cursor",
        "Nhanh.vn refuses all cursors that it gave out before, and Shopify the next one.",
        "The pull begins afresh at once, and says so.",
        answers.refused_cursors,
    ),
    Situation(
        "older-api-version",
        "Shopify's answers say they are of version 2026-07 of the API.",
        "A warning, once; `check --live` and `dongbo doctor` name the version.",
        answers.version("2026-07"),
    ),
    Situation(
        "later-api-version",
        "Shopify's answers say they are of version 2027-07 of the API, as after the end of the one that was asked for.",
        "A warning, once; `check --live` and `dongbo doctor` name the version.",
        answers.version("2027-07"),
    ),
    Situation(
        "deprecated-calls",
        "Shopify's answers say that the call will be gone soon.",
        "A warning, once; `check --live` and `dongbo doctor` give the reason.",
        answers.deprecated_calls,
    ),
    # ── Calls
    Situation(
        "late-writes",
        "One call in five that writes to Shopify is carried out only when its caller has given up waiting.",
        "What is there is read before anything is repeated, and each write's outcome is right in the end.",
        answers.late_writes,
    ),
    Situation(
        "lost-answers",
        "One call in five that writes to Shopify is carried out, and its answer is lost.",
        "As for late ones; nothing is written twice.",
        answers.lost_answers,
    ),
    Situation(
        "forgotten-keys",
        "Shopify carries out a repeated call although it has seen its idempotency key.",
        "Nothing is written twice: quantities are set by compare-and-set.",
        answers.forgotten_keys,
    ),
)

SITUATIONS: Mapping[str, Situation] = {situation.name: situation for situation in _TABLE}


def find(name: str) -> Situation:
    """The situation of this name.

    Raises:
        UnknownSituation: there is none; its text has those that may have been meant.
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
        """Put the sandbox into a situation; nothing happens if it is in it.

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
