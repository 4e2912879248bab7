"""The safety stop: what a run may do to a shop before a person has to look at it."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from daemon.api.pushes import PushKind
from daemon.config import ProductSyncSettings
from daemon.i18n import gettext as _
from daemon.money import amount_text, amount_text_or_none
from daemon.sync.products.approvals import HeldChange, RiskyChange, Unasked
from daemon.sync.products.question import Example, PlanQuestion
from daemon.sync.products.rows import PriceRow, StockRow, Window

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
        self.zeroed = set[int]()  # items set to zero
        self.repriced = set[int]()  # variants whose prices changed a lot
        self.learn(unasked or Unasked())

    def risk_of_stock(self, row: StockRow) -> RiskyChange | None:
        """The row as a risky change, if it is one."""
        if not row.zeroes and not row.is_asked:
            return None
        return RiskyChange(PushKind.STOCK, row.key.variant_id, row.key.location_id, str(row.desired))

    def risks_of_price(self, row: PriceRow) -> list[RiskyChange]:
        """What of the row is a risky change: the price, the compare-at price, both or neither."""
        return [held.change for held in self.price_changes(row) if held.is_risky]

    def price_changes(self, row: PriceRow) -> list[HeldChange]:
        """What of the row changes, and whether that is a risky change: the price, the compare-at price, or both."""
        changes, variant_id, share = [], row.key.variant_id, self.settings.large_price_change
        is_new_rule = self.is_by_new_rule(row)
        if row.changes_price:
            change = RiskyChange(PushKind.PRICE, variant_id, 0, amount_text(row.desired_price))
            is_risky = row.is_large(share) or is_new_rule or row.is_asked
            changes.append(HeldChange(change, amount_text(row.price), is_risky, row.sku, row.price_reason))
        if row.changes_compare_at_price:
            new = amount_text_or_none(row.desired_compare_at_price)
            change = RiskyChange(PushKind.COMPARE_AT_PRICE, variant_id, 0, new)
            is_risky = row.is_large_of_compare_at(share) or is_new_rule or row.is_asked
            old = amount_text_or_none(row.compare_at_price)
            changes.append(HeldChange(change, old, is_risky, row.sku, row.compare_at_reason))
        return changes

    def is_large(self, row: PriceRow) -> bool:
        """Whether a price changes a lot: a few of these are pushed unasked."""
        share = self.settings.large_price_change
        return row.is_large(share) or row.is_large_of_compare_at(share)

    def counts(self, row: StockRow | PriceRow) -> bool:
        """Whether the row is one of those of which a few are pushed unasked."""
        return row.zeroes if isinstance(row, StockRow) else self.is_large(row)

    def learn(self, unasked: Unasked) -> None:
        """Count what other runs have done unasked meanwhile."""
        self.zeroed |= unasked.zeroed
        self.repriced |= unasked.repriced

    def is_by_new_rule(self, row: PriceRow) -> bool:
        """Whether it is VAT that makes the price another one, and nobody has been asked about that yet."""
        return row.is_by_vat and not self._is_vat_agreed

    def is_never_unasked(self, row: StockRow | PriceRow) -> bool:
        """Whether a person is asked about the row, whatever the thresholds."""
        if row.is_asked:
            return True
        return isinstance(row, PriceRow) and (row.is_beyond_reason or self.is_by_new_rule(row))

    def is_approved(self, change: RiskyChange) -> bool:
        """Whether a person has approved exactly this."""
        return change in self._approved

    def admit_stock(self, rows: Collection[StockRow]) -> None:
        """Count what is about to be pushed; raises PlanOverturned where that is too much, and counts nothing."""
        new = [row for row in rows if self._is_new(self.risk_of_stock(row))]
        if any(map(self.is_never_unasked, new)):
            raise PlanOverturned
        self._admit({row.item_id for row in new}, set())

    def admit_prices(self, rows: Collection[PriceRow]) -> None:
        """As `admit_stock`."""
        new = [row for row in rows if any(map(self._is_new, self.risks_of_price(row)))]
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
    keeps_changes: bool = False  # whether each change is kept until it is taken, too
    variants: set[int] | None = None  # that differ; None: nobody wants to know
    rows: int = 0
    stock_changes: int = 0
    price_changes: int = 0
    zeroed: set[int] = field(default_factory=set)  # items, approved ones included
    unapproved_zeroed: set[int] = field(default_factory=set)
    repriced: set[int] = field(default_factory=set)  # variants, likewise
    unapproved_repriced: set[int] = field(default_factory=set)
    beyond_reason: set[int] = field(default_factory=set)  # variants that nobody has approved yet, whatever the settings
    by_new_rule: set[int] = field(default_factory=set)  # variants that VAT changes for the first time, likewise
    asked_stock: set[int] = field(default_factory=set)  # items about whose stock a rule has a person asked, likewise
    asked_prices: set[int] = field(default_factory=set)  # variants about whose prices one does
    _is_partly_approved: bool = False
    _changes: int = 0  # a variant's price and its compare-at price are two
    _kept: list[HeldChange] = field(default_factory=list)
    _asked_about: list[dict[str, Any]] = field(default_factory=list)
    _others: list[dict[str, Any]] = field(default_factory=list)
    _zero_examples: list[Example] = field(default_factory=list)
    _price_examples: list[Example] = field(default_factory=list)
    _beyond_examples: list[Example] = field(default_factory=list)
    _vat_examples: list[Example] = field(default_factory=list)
    _rule_examples: list[Example] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to push."""
        return not self.stock_changes and not self.price_changes

    @property
    def sample(self) -> dict[str, Any]:
        """Changes to show, and of how many they are: first those that a person is asked about, then others."""
        others = self._others[: max(SAMPLE - len(self._asked_about), 0)]
        return {"sample": [*self._asked_about, *others], "sample_of": self._changes}

    @property
    def needs_approval(self) -> bool:
        """Whether a person has to be asked first."""
        if self.beyond_reason or self.by_new_rule or self.asked_stock or self.asked_prices:
            return True
        return not self.limits.allows(self.unapproved_zeroed, self.unapproved_repriced)

    @property
    def left_out(self) -> int:
        """How many changes a person would have to be asked about, each once: of an item's stock, and of prices."""
        zeroed = set() if self.limits.allows(self.unapproved_zeroed, ()) else self.unapproved_zeroed
        large = set() if self.limits.allows((), self.unapproved_repriced) else self.unapproved_repriced
        return len(zeroed | self.asked_stock) + len(large | self.beyond_reason | self.by_new_rule | self.asked_prices)

    @property
    def asked_by_rule(self) -> int:
        """How many changes rules have a person asked about, those of an item's stock and those of its prices as one."""
        return len(self.asked_stock) + len(self.asked_prices)

    def take_changes(self) -> list[HeldChange]:
        """The changes that were kept since this was called last."""
        taken, self._kept = self._kept, []
        return taken

    def add_stock(self, row: StockRow) -> None:
        """Count a row that differs."""
        self.stock_changes += 1
        risk = self.limits.risk_of_stock(row)
        old = None if row.present is None else str(row.present)
        change = risk or RiskyChange(PushKind.STOCK, row.key.variant_id, row.key.location_id, str(row.desired))
        self._keep(HeldChange(change, old, risk is not None, row.sku, row.reason))
        if risk is None:
            return
        if row.zeroes:
            self.zeroed.add(row.item_id)
        if self._is_approved(risk):
            return
        example = Example(_name(row), old, str(row.desired), row.key.location_id)
        if row.zeroes:
            self.unapproved_zeroed.add(row.item_id)
            _add_example(self._zero_examples, example)
        if row.is_asked:
            self.asked_stock.add(row.item_id)
            _add_example(self._rule_examples, example)

    def add_price(self, row: PriceRow) -> None:
        """Count a row that differs."""
        self.price_changes += 1
        is_large = self.limits.is_large(row)
        for held in self.limits.price_changes(row):
            self._keep(held)
            if not held.is_risky:
                continue
            if is_large:
                self.repriced.add(row.key.variant_id)
            if not self._is_approved(held.change):
                self._ask_about(row, held, is_large=is_large)

    def add_other_stock(self, window: Window[StockRow]) -> None:
        """Count the rows of a window that differ and about which nobody is asked."""
        self.stock_changes += window.others
        self._changes += window.other_changes

    def add_other_prices(self, window: Window[PriceRow]) -> None:
        """As `add_other_stock`."""
        self.price_changes += window.others
        self._changes += window.other_changes

    def figures(self) -> dict[str, Any]:
        """To be shown with the job."""
        return {
            "stock_changes": self.stock_changes,
            "price_changes": self.price_changes,
            "zeroed": len(self.zeroed),
            "large_price_changes": len(self.repriced),
            "price_changes_by_vat": len(self.by_new_rule),
            **({"asked_by_rule": self.asked_by_rule} if self.limits.settings.rules else {}),
        }

    def question(self, pushed: int = 0) -> PlanQuestion:
        """What a person is asked; `pushed` is how many values this job has pushed before."""
        settings, limits = self.limits.settings, self.limits
        return PlanQuestion(
            zeroed=len(self.unapproved_zeroed),
            zeroed_before=len(limits.zeroed - self.unapproved_zeroed),
            max_zeroed=settings.max_zeroed,
            zero_examples=self._zero_examples,
            depots=sorted(depot for depots in settings.depots_of.values() for depot in depots),
            by_vat=len(self.by_new_rule),
            vat_examples=self._vat_examples,
            asked_by_rule=self.asked_by_rule,
            rule_examples=self._rule_examples,
            beyond_reason=len(self.beyond_reason),
            beyond_examples=self._beyond_examples,
            repriced=len(self.unapproved_repriced),
            repriced_within_reason=len(self.unapproved_repriced - self.beyond_reason),
            repriced_before=len(limits.repriced - self.unapproved_repriced),
            max_repriced=settings.max_large_price_changes,
            large_price_change=settings.large_price_change,
            price_examples=self._price_examples,
            prices=[price for price in (settings.price, settings.compare_at_price) if price is not None],
            is_partly_approved=self._is_partly_approved,
            pushed=pushed,
        )

    def _is_approved(self, change: RiskyChange) -> bool:
        is_approved = self.limits.is_approved(change)
        self._is_partly_approved = self._is_partly_approved or is_approved
        return is_approved

    def _ask_about(self, row: PriceRow, held: HeldChange, *, is_large: bool) -> None:
        change = held.change
        is_compare_at = change.kind is PushKind.COMPARE_AT_PRICE
        example = Example(_name(row), held.old_value, change.new_value, is_compare_at_price=is_compare_at)
        places = [
            (self.unapproved_repriced, self._price_examples, is_large),
            (self.beyond_reason, self._beyond_examples, row.is_beyond_reason),
            (self.by_new_rule, self._vat_examples, self.limits.is_by_new_rule(row)),
            (self.asked_prices, self._rule_examples, row.is_asked),
        ]
        for found, examples, concerned in places:
            if concerned:
                found.add(row.key.variant_id)
                _add_example(examples, example)

    def _keep(self, held: HeldChange) -> None:
        self._changes += 1
        if self.variants is not None:
            self.variants.add(held.change.owner_id)
        if self.keeps_changes:
            self._kept.append(held)
        if held.is_risky and not self.limits.is_approved(held.change):
            if len(self._asked_about) < SAMPLE_ASKED_ABOUT:
                self._asked_about.append(_shown(held))
        elif len(self._others) < SAMPLE:
            self._others.append(_shown(held))


class RiskyRows:
    """The rows of a plan that are not pushed unasked: a run about a few items leaves them to that of everything."""

    def __init__(self, survey: PlanSurvey) -> None:
        self._limits = survey.limits
        self._leaves_zeroes = not self._limits.allows(survey.unapproved_zeroed, ())
        self._leaves_large = not self._limits.allows((), survey.unapproved_repriced)

    def include(self, row: StockRow | PriceRow) -> bool:
        """Whether the row is one of them."""
        if isinstance(row, StockRow):
            return row.is_asked or (self._leaves_zeroes and row.zeroes)
        limits = self._limits
        return bool(limits.risks_of_price(row)) and (
            limits.is_never_unasked(row) or (self._leaves_large and limits.is_large(row))
        )


def _shown(held: HeldChange) -> dict[str, Any]:
    change = held.change
    known = {"kind": str(change.kind), "sku": held.sku, "variant_id": change.owner_id}
    place = {"location_id": change.location_id} if change.location_id else {}
    return known | {"old": held.old_value, "new": change.new_value, "reason": held.reason} | place


def _name(row: StockRow | PriceRow) -> str:
    return row.sku or _("variant {id}").format(id=row.key.variant_id)


def _add_example(examples: list[Example], example: Example) -> None:
    if len(examples) < EXAMPLES:
        examples.append(example)
