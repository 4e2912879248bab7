"""The safety stop: what a run may do to a shop before a person has to look at it."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from daemon.api.pushes import PushKind
from daemon.config import ProductSyncSettings
from daemon.money import amount_text, amount_text_or_none
from daemon.sync.products.approvals import ApprovalItem, RiskyChange, Unasked
from daemon.sync.products.rows import REASON, PriceRow, StockRow

SAMPLE = 50  # changes shown with a job
SAMPLE_ASKED_ABOUT = 200  # of the changes that a person is asked about
EXAMPLES = 3  # changes named in a sentence


class PlanOverturned(Exception):
    """While it was carried out, the plan became too risky to continue unasked: all of it must be looked at again."""


class SafetyLimits:
    """Counts the risky changes of a run that nobody has approved, over everything that it pushes.

    The whole plan is surveyed before the first push. This holds the same line afterwards: the plan is read again batch
    by batch, and a pull that runs at the same time, with a token that has lost its depots, must not slip through.
    """

    def __init__(
        self,
        settings: ProductSyncSettings,
        approved: Collection[RiskyChange],
        unasked: Unasked | None = None,
        *,
        is_vat_agreed: bool = True,
    ) -> None:
        """`is_vat_agreed`: whether a person has approved that prices now include VAT, or no longer do."""
        self.settings = settings
        self._approved = approved
        self._is_vat_agreed = is_vat_agreed
        # What this and other recent runs did unasked: many small runs must not add up to more than a large one may.
        self.zeroed = set(unasked.zeroed if unasked else ())  # items set to zero
        self.repriced = set(unasked.repriced if unasked else ())  # variants whose prices changed a lot

    def risk_of_stock(self, row: StockRow) -> RiskyChange | None:
        """The row as a risky change, if it is one."""
        if not row.zeroes:
            return None
        return RiskyChange(PushKind.STOCK, row.key.variant_id, row.key.location_id, str(row.desired))

    def risks_of_price(self, row: PriceRow) -> list[ApprovalItem]:
        """What of the row is a risky change: the price, the compare-at price, both or neither."""
        risks, variant_id, share = [], row.key.variant_id, self.settings.large_price_change
        is_new_rule = self.is_by_new_rule(row)
        if row.is_large(share) or (is_new_rule and row.changes_price):
            change = RiskyChange(PushKind.PRICE, variant_id, 0, amount_text(row.desired_price))
            risks.append(ApprovalItem(change, amount_text(row.price)))
        if row.is_large_of_compare_at(share) or (is_new_rule and row.changes_compare_at_price):
            change = RiskyChange(
                PushKind.COMPARE_AT_PRICE, variant_id, 0, amount_text_or_none(row.desired_compare_at_price)
            )
            risks.append(ApprovalItem(change, amount_text_or_none(row.compare_at_price)))
        return risks

    def is_large(self, row: PriceRow) -> bool:
        """Whether a price changes a lot: a few of these are pushed unasked."""
        share = self.settings.large_price_change
        return row.is_large(share) or row.is_large_of_compare_at(share)

    def is_by_new_rule(self, row: PriceRow) -> bool:
        """Whether it is VAT that makes the price another one, and nobody has been asked about that yet."""
        return row.is_by_vat and not self._is_vat_agreed

    def is_never_unasked(self, row: PriceRow) -> bool:
        """Whether a person is asked about the row, whatever the thresholds."""
        return row.is_beyond_reason or self.is_by_new_rule(row)

    def is_approved(self, change: RiskyChange) -> bool:
        """Whether a person has approved exactly this."""
        return change in self._approved

    def admit_stock(self, rows: Collection[StockRow]) -> None:
        """Count what is about to be pushed; raises PlanOverturned where that is too much, and counts nothing."""
        zeroed = {row.item_id for row in rows if self._is_new(self.risk_of_stock(row))}
        self._admit(zeroed, set())

    def admit_prices(self, rows: Collection[PriceRow]) -> None:
        """As `admit_stock`."""
        new = [row for row in rows if any(self._is_new(item.change) for item in self.risks_of_price(row))]
        if any(map(self.is_never_unasked, new)):
            raise PlanOverturned
        self._admit(set(), {row.key.variant_id for row in new if self.is_large(row)})

    def allows(self, zeroed: Collection[int], repriced: Collection[int]) -> bool:
        """Whether these items and variants may be changed, too, without asking."""
        settings = self.settings
        return (not zeroed or len(self.zeroed.union(zeroed)) <= settings.max_zeroed) and (
            not repriced or len(self.repriced.union(repriced)) <= settings.max_large_price_changes
        )

    def _admit(self, zeroed: set[int], repriced: set[int]) -> None:
        if not self.allows(zeroed, repriced):
            raise PlanOverturned
        self.zeroed |= zeroed
        self.repriced |= repriced

    def _is_new(self, risk: RiskyChange | None) -> bool:
        return risk is not None and not self.is_approved(risk)


@dataclass
class PlanSurvey:
    """What the whole plan amounts to, before any of it is carried out."""

    limits: SafetyLimits
    rows: int = 0
    stock_changes: int = 0
    price_changes: int = 0
    zeroed: set[int] = field(default_factory=set)  # items, approved ones included
    unapproved_zeroed: set[int] = field(default_factory=set)
    repriced: set[int] = field(default_factory=set)  # variants, likewise
    unapproved_repriced: set[int] = field(default_factory=set)
    beyond_reason: set[int] = field(default_factory=set)  # variants that nobody has approved yet, whatever the settings
    by_new_rule: set[int] = field(default_factory=set)  # variants that VAT changes for the first time, likewise
    items: list[ApprovalItem] = field(default_factory=list)
    _asked_about: list[dict[str, Any]] = field(default_factory=list)
    _others: list[dict[str, Any]] = field(default_factory=list)
    _zero_examples: list[str] = field(default_factory=list)
    _price_examples: list[str] = field(default_factory=list)
    _beyond_examples: list[str] = field(default_factory=list)
    _rule_examples: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to push."""
        return not self.stock_changes and not self.price_changes

    @property
    def sample(self) -> list[dict[str, Any]]:
        """Changes to show: first those that a person is asked about, then others."""
        return [*self._asked_about, *self._others[: max(SAMPLE - len(self._asked_about), 0)]]

    @property
    def needs_approval(self) -> bool:
        """Whether a person has to be asked first."""
        if self.beyond_reason or self.by_new_rule:
            return True
        return not self.limits.allows(self.unapproved_zeroed, self.unapproved_repriced)

    def add_stock(self, row: StockRow) -> None:
        """Count a row that differs."""
        self.stock_changes += 1
        old = None if row.present is None else str(row.present)
        risk = self.limits.risk_of_stock(row)
        shown = _shown(PushKind.STOCK, row, old, str(row.desired), row.reason) | {"location_id": row.key.location_id}
        self._show(shown, is_asked_about=risk is not None and not self.limits.is_approved(risk))
        if risk is None:
            return
        self.items.append(ApprovalItem(risk, str(row.present)))
        self.zeroed.add(row.item_id)
        if not self.limits.is_approved(risk):
            self.unapproved_zeroed.add(row.item_id)
            if len(self._zero_examples) < EXAMPLES:
                self._zero_examples.append(f"{_name(row)} ({row.present} → 0 at {row.key.location_id})")

    def add_price(self, row: PriceRow) -> None:
        """Count a row that differs."""
        self.price_changes += 1
        variant_id = row.key.variant_id
        old, new = amount_text(row.price), amount_text(row.desired_price)
        risks = self.limits.risks_of_price(row)
        is_asked_about = any(not self.limits.is_approved(item.change) for item in risks)
        if row.changes_price:
            self._show(_shown(PushKind.PRICE, row, old, new, row.price_reason), is_asked_about=is_asked_about)
        if row.changes_compare_at_price:
            before, after = amount_text_or_none(row.compare_at_price), amount_text_or_none(row.desired_compare_at_price)
            shown = _shown(PushKind.COMPARE_AT_PRICE, row, before, after, row.compare_at_reason)
            self._show(shown, is_asked_about=is_asked_about)
        is_large = self.limits.is_large(row)
        for item in risks:
            self.items.append(item)
            if is_large:
                self.repriced.add(variant_id)
            if not self.limits.is_approved(item.change):
                self._ask_about(row, item, is_large=is_large)

    def _ask_about(self, row: PriceRow, item: ApprovalItem, *, is_large: bool) -> None:
        variant_id, example = row.key.variant_id, f"{_name(row)} ({_change(item)})"
        places = [
            (self.unapproved_repriced, self._price_examples, is_large),
            (self.beyond_reason, self._beyond_examples, row.is_beyond_reason),
            (self.by_new_rule, self._rule_examples, self.limits.is_by_new_rule(row)),
        ]
        for found, examples, concerned in places:
            if concerned:
                found.add(variant_id)
                if len(examples) < EXAMPLES:
                    examples.append(example)

    def figures(self) -> dict[str, Any]:
        """To be shown with the job."""
        return {
            "stock_changes": self.stock_changes,
            "price_changes": self.price_changes,
            "zeroed": len(self.zeroed),
            "large_price_changes": len(self.repriced),
            "price_changes_by_vat": len(self.by_new_rule),
        }

    def question(self, pushed: int = 0) -> str:
        """What a person is asked: what would happen, and what to look at before approving it.

        `pushed` is how many values this job has pushed before.
        """
        settings, said, look = self.limits.settings, [], []
        if self.unapproved_zeroed:
            examples = ", ".join(self._zero_examples)
            depots = sorted(depot for depots in settings.depots_of.values() for depot in depots)
            said.append(
                f"set {_count(self.unapproved_zeroed, 'item')} to zero that Shopify has in stock"
                f"{_besides(self.limits.zeroed - self.unapproved_zeroed, 'zeroed')} (more than {settings.max_zeroed} "
                f"within 24 hours are not set to zero unasked), such as {examples}"
            )
            look.append(
                "whether its stock there is right, and whether the access token can still see all depots "
                f"({', '.join(map(str, depots))})"
            )
        if self.by_new_rule:
            said.append(
                f"take VAT into account in {_count(self.by_new_rule, 'price')} for the first time, because prices "
                "include it on one side and not on the other (priceVatMode of Nhanh.vn, taxesIncluded of Shopify), "
                f"such as {', '.join(self._rule_examples)}"
            )
            look.append("whether the VAT of these products is right, and whether Shopify adds tax at the checkout")
        if self.beyond_reason:
            said.append(
                f"change {_count(self.beyond_reason, 'price')} by a factor of {REASON} or more, which always needs "
                f"approval, such as {', '.join(self._beyond_examples)}"
            )
        if self.unapproved_repriced - self.beyond_reason:
            said.append(
                f"change {_count(self.unapproved_repriced, 'price')} by {settings.large_price_change:.0%} or more"
                f"{_besides(self.limits.repriced - self.unapproved_repriced, 'changed so much')} (more than "
                f"{settings.max_large_price_changes} within 24 hours are not changed so much unasked; removing a "
                f"compare-at price counts as well), such as {', '.join(self._price_examples)}"
            )
        if self.unapproved_repriced or self.beyond_reason:
            prices = filter(None, (settings.price, settings.compare_at_price))
            look.append(f"whether the {' and '.join(prices)} prices there are right")
        again = " The rest was approved before." if self._was_asked else ""
        before = (
            f", but this job has already pushed {pushed:,} other value{'s' if pushed != 1 else ''}" if pushed else ""
        )
        return (
            f"This sync would {', and '.join(said)}.{again} None of that was pushed{before}. Check at "
            f"Nhanh.vn first: {'; '.join(look)}. Then approve these changes, or reject them."
        )

    @property
    def _was_asked(self) -> bool:
        return any(self.limits.is_approved(item.change) for item in self.items)

    def _show(self, shown: dict[str, Any], *, is_asked_about: bool) -> None:
        if is_asked_about and len(self._asked_about) < SAMPLE_ASKED_ABOUT:
            self._asked_about.append(shown)
        elif not is_asked_about and len(self._others) < SAMPLE:
            self._others.append(shown)


def _shown(kind: PushKind, row: StockRow | PriceRow, old: str | None, new: str | None, reason: str) -> dict[str, Any]:
    known = {"kind": str(kind), "sku": row.sku, "variant_id": row.key.variant_id}
    return known | {"old": old, "new": new, "reason": reason}


def _name(row: StockRow | PriceRow) -> str:
    return row.sku or f"variant {row.key.variant_id}"


def _count(things: Collection[object], noun: str) -> str:
    return f"{len(things):,} {noun}{'s' if len(things) != 1 else ''}"


def _besides(done: Collection[int], how: str) -> str:
    return f", besides {len(done):,} that were {how} unasked in the last 24 hours" if done else ""


def _change(item: ApprovalItem) -> str:
    values = f"{item.old_value or 'none'} → {item.change.new_value or 'none'}"
    return values if item.change.kind is PushKind.PRICE else f"compare-at price {values}"
