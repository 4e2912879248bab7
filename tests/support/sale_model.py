"""What the rules of sales say about every price, worked out of what was seen to happen, and not of the daemon's code.

`Timeline` collects for each variant, in order of time: prices that people and calls of the daemon have set at Shopify,
looks at Shopify, decisions of a person, and what the price journal claimed. `judge` goes through it and says which
price each variant must have in the end, or what has broken a rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import floor
from typing import Any
from uuid import UUID

from daemon.config import SaleSettings

Price = tuple[Decimal, Decimal | None]

# Each change of the price journal, as it was committed, with how many other campaigns had the variant in their hands.
WATCH = """
CREATE TABLE public.sale_watch (
    id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT clock_timestamp(), campaign_id uuid,
    variant_id bigint, campaign_state text, old_state text, state text, base numeric, base_compare_at numeric,
    sale numeric, sale_compare_at numeric, found numeric, found_compare_at numeric, others bigint
);
CREATE FUNCTION public.watch_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.state, OLD.base_price, OLD.base_compare_at, OLD.sale_price, OLD.found_price)
        IS NOT DISTINCT FROM (NEW.state, NEW.base_price, NEW.base_compare_at, NEW.sale_price, NEW.found_price) THEN
        RETURN NULL;
    END IF;
    INSERT INTO public.sale_watch (campaign_id, variant_id, campaign_state, old_state, state, base, base_compare_at,
        sale, sale_compare_at, found, found_compare_at, others)
    SELECT NEW.campaign_id, NEW.variant_id,
        (SELECT campaign.state FROM dongbo.sale_campaigns AS campaign WHERE campaign.id = NEW.campaign_id),
        CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, NEW.state, NEW.base_price, NEW.base_compare_at, NEW.sale_price,
        NEW.sale_compare_at, NEW.found_price, NEW.found_compare_at, (
            SELECT count(*) FROM dongbo.sale_items AS other
            WHERE other.store = NEW.store AND other.variant_id = NEW.variant_id
              AND other.campaign_id <> NEW.campaign_id
              AND other.state IN ('APPLYING', 'APPLIED', 'REVERTING', 'DRIFTED', 'STUCK')
        );
    RETURN NULL;
END $$;
CREATE TRIGGER watch_item AFTER INSERT OR UPDATE ON dongbo.sale_items
    FOR EACH ROW EXECUTE FUNCTION public.watch_item();
CREATE FUNCTION public.watch_campaign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.prepared_at IS NOT NULL AND OLD.prepared_at IS DISTINCT FROM NEW.prepared_at THEN
        INSERT INTO public.sale_watch (campaign_id, state) VALUES (NEW.id, 'prepared');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER watch_campaign AFTER UPDATE ON dongbo.sale_campaigns
    FOR EACH ROW EXECUTE FUNCTION public.watch_campaign();
"""
WATCHED = "SELECT * FROM public.sale_watch ORDER BY id"

HELD = frozenset({"APPLYING", "APPLIED", "REVERTING", "DRIFTED", "STUCK"})


class BrokenRule(AssertionError):
    """Something happened to a variant that no rule allows."""


class Actor(Enum):
    """Who has set a price at Shopify."""

    PERSON = "a person"
    PREPARE = "PREPARE_SALE"
    APPLY = "APPLY_SALE"
    REVERT = "REVERT_SALE"
    SYNC = "SYNC_PRODUCTS"
    LATE = "a call whose sender had died"


@dataclass(frozen=True)
class PriceSet:
    """A variant has got another price at Shopify."""

    at: datetime
    variant_id: int
    price: Price
    actor: Actor


@dataclass(frozen=True)
class Look:
    """A sale job was told a variant's price, or that it has not changed."""

    at: datetime
    variant_id: int
    price: Price
    actor: Actor


@dataclass(frozen=True)
class Decided:
    """A person was shown another price than the sale's, and has decided to keep it or not."""

    at: datetime
    variant_id: int
    campaign_id: UUID
    keeps: bool
    found: Price


@dataclass(frozen=True)
class Deleted:
    """A variant was deleted."""

    at: datetime
    variant_id: int


@dataclass(frozen=True)
class Claim:
    """A change of the price journal."""

    at: datetime
    variant_id: int
    campaign_id: UUID
    campaign_state: str
    old_state: str | None
    state: str
    base: Price
    sale: Price | None
    found: Price | None
    others: int


@dataclass(frozen=True)
class Prepared:
    """A campaign's journal was written from a look at Shopify."""

    at: datetime
    campaign_id: UUID


Event = PriceSet | Look | Decided | Deleted | Claim | Prepared


def read_watch(rows: Sequence[Mapping[str, Any]]) -> list[Event]:
    """What the triggers have noted."""
    return [
        Prepared(row["at"], UUID(int=row["campaign_id"].int))
        if row["state"] == "prepared"
        else Claim(
            row["at"],
            row["variant_id"],
            UUID(int=row["campaign_id"].int),
            row["campaign_state"],
            row["old_state"],
            row["state"],
            (row["base"], row["base_compare_at"]),
            None if row["sale"] is None else (row["sale"], row["sale_compare_at"]),
            None if row["found"] is None else (row["found"], row["found_compare_at"]),
            row["others"],
        )
        for row in rows
    ]


def discounted(rule: SaleSettings, base: Price) -> Price | None:
    """The price during a sale; None for what it does not make cheaper. Exact fractions, rounded once."""
    price, compare_at = base
    crossed_out = compare_at if compare_at is not None and compare_at > price else price
    reference = Fraction(crossed_out if rule.discount_from == "compare_at_price" else price)
    wanted = reference * (1 - Fraction(rule.percent) / 100) if rule.percent is not None else None
    if wanted is None:
        wanted = reference - Fraction(rule.amount or 0)
    ending, step = Fraction(rule.ending or 0), Fraction(rule.round_to)
    rounded = floor((wanted - ending) / step) * step + ending
    lowest = Fraction(rule.floor) if rule.floor is not None else rounded
    final = max(rounded, lowest)
    if final <= 0 or final >= price:
        return None
    return Decimal(final.numerator) / Decimal(final.denominator), crossed_out


@dataclass
class Hold:
    """A campaign has a variant in its hands."""

    campaign_id: UUID
    base: Price
    sale: Price | None
    strange: list[Price] = field(default_factory=list)  # prices of others at Shopify that nothing has replaced since
    ever_strange: set[Price] = field(default_factory=set)
    seen: set[Price] = field(default_factory=set)  # of these, by looks before the base price is written
    restorable: set[Price] = field(default_factory=set)  # of which a person has decided to go back to the base
    kept: set[Price] = field(default_factory=set)


class Verdict:
    """Goes through the life of one variant."""

    def __init__(
        self, variant_id: int, price: Price, rules: Mapping[UUID, Sequence[SaleSettings]], nhanh: set[Price]
    ) -> None:
        self.variant_id = variant_id
        self.price = price
        self.truth = {price}  # what it must cost without any sale; two where nobody could tell
        self.past: list[tuple[datetime | None, Price]] = [
            (None, price)
        ]  # what it cost without any sale, and since when
        self.looked_at: datetime | None = None
        self.looked_for_start_at: datetime | None = None  # by those who put it on sale
        self.known_since: dict[UUID, datetime | None] = {}
        self.hold: Hold | None = None
        self.is_deleted = False
        self.late: set[Price] = set()
        self._rules = rules
        self._nhanh = nhanh

    def take(self, event: Event) -> None:
        """The next thing that happened."""
        match event:
            case PriceSet():
                self._set(event)
            case Look(actor=Actor.REVERT):
                if self.hold is not None and event.price in self.hold.strange:
                    self.hold.seen.add(event.price)
            case Look():
                if event.price == self.price:
                    self.looked_at = event.at
                    if event.actor is Actor.APPLY:
                        self.looked_for_start_at = event.at
            case Prepared(campaign_id=campaign_id):
                self.known_since[campaign_id] = self.looked_at
            case Deleted():
                self.is_deleted = True
            case Decided():
                if self.hold is not None and self.hold.campaign_id == event.campaign_id:
                    (self.hold.kept if event.keeps else self.hold.restorable).add(event.found)
            case Claim():
                self._claim(event)

    def check_end(self, price: Price | None) -> None:
        """What must be when all sales are over; None: Shopify has it no more."""
        self._require(self.hold is None, "it is still in a campaign's hands")
        if price is not None:
            self._require(price in self.truth, f"it costs {_shown(price)}, and should {_all(self.truth)}")

    def _set(self, event: PriceSet) -> None:
        before, self.price = self.price, event.price
        hold = self.hold
        match event.actor:
            case Actor.PERSON:
                if hold is None:
                    self._becomes(event.at, event.price)
                else:
                    self._strange(hold, event.price)
            case Actor.SYNC:
                if hold is None:
                    self._becomes(event.at, event.price)
                else:
                    raise self._broken(f"the product sync has set {_shown(event.price)} during a sale")
            case Actor.LATE:
                self.late.add(event.price)
                if hold is not None and event.price not in (hold.sale, hold.base):
                    self._strange(hold, event.price)
                elif hold is not None:
                    hold.strange.clear()
            case Actor.APPLY:
                self._require(hold is not None and event.price == hold.sale, f"{_shown(event.price)} was not announced")
                if hold is not None:
                    hold.strange.clear()  # the known limit: of a price, no call notices that it has changed
            case Actor.REVERT:
                self._require(hold is not None and event.price == hold.base, f"{_shown(event.price)} was not announced")
                if hold is not None:
                    self._require(
                        before not in hold.strange or before not in hold.seen or before in hold.restorable,
                        f"{_shown(before)} of somebody else was overwritten without a decision",
                    )
                    hold.strange.clear()

    def _strange(self, hold: Hold, price: Price) -> None:
        hold.strange.append(price)
        hold.ever_strange.add(price)

    def _becomes(self, at: datetime, price: Price) -> None:
        self.truth = {price}
        self.past.append((at, price))

    def _claim(self, claim: Claim) -> None:
        if claim.old_state is None and claim.campaign_state == "ACTIVE":
            joins = any(rule.newcomers == "join" for rule in self._rules[claim.campaign_id])
            self._require(joins, "it has joined a sale that newcomers do not join")
        if claim.state not in HELD:
            if claim.old_state in HELD:
                self._release(claim)
            self._require(claim.state != "GONE" or self.is_deleted, "it is said to be gone")
            return
        self._require(claim.others == 0, "two campaigns had it in their hands")
        if self.hold is None:
            self._begin(claim)
        hold = self.hold
        assert hold is not None
        self._require(hold.campaign_id == claim.campaign_id, "two campaigns had it in their hands")
        if claim.base != hold.base:
            self._require(claim.base in self._nhanh, f"its base became {_shown(claim.base)}, which nobody has said")
            hold.base = claim.base
            self._becomes(claim.at, claim.base)
        hold.sale = claim.sale
        if claim.state == "DRIFTED" and claim.found is not None:
            known = claim.found in hold.ever_strange | self.late
            self._require(known, f"{_shown(claim.found)} is said to be of somebody else, and is of nobody")

    def _begin(self, claim: Claim) -> None:
        base, sale = claim.base, claim.sale
        hold = self.hold = Hold(claim.campaign_id, base, sale)
        if self.price not in self.truth or self.price != base:
            self._strange(hold, self.price)
        if claim.old_state == "REVERTED":  # a late call has brought the sale price back
            self._require(self.price == sale and sale in self.late, "it was taken up again without a reason")
            return
        # A late call may have hidden what the last look ahead has not seen.
        is_written = claim.state == "APPLYING"
        since = self.looked_for_start_at if is_written else self.known_since.get(claim.campaign_id)
        allowed = self._since(since) | self.truth
        self._require(base in allowed, f"the discount was taken from {_shown(base)}, not from {_all(allowed)}")
        expected = {discounted(rule, base) for rule in self._rules[claim.campaign_id]}
        self._require(sale in expected, f"{sale} is not what the rule makes of {_shown(base)}: {expected}")
        self.truth = {base}  # where the daemon could not know better, what others did is lost: the known limit
        self.past.append((claim.at, base))

    def _since(self, moment: datetime | None) -> set[Price]:
        """What it cost without a sale at a moment and later."""
        later = {price for at, price in self.past if moment is not None and at is not None and at > moment}
        earlier = [price for at, price in self.past if moment is None or at is None or at <= moment]
        return later | (set(earlier) if moment is None else set(earlier[-1:]))

    def _release(self, claim: Claim) -> None:
        hold, self.hold = self.hold, None
        assert hold is not None
        match claim.state:
            case "PLANNED" | "REFUSED" | "REVERTED":
                self._becomes(claim.at, hold.base)
                if hold.strange and self.price == hold.strange[-1]:
                    is_unseen = claim.state != "REVERTED" or self.price not in hold.seen
                    self._require(is_unseen, f"{_shown(self.price)} of somebody else was seen and not told")
                    self._becomes(claim.at, self.price)
            case "KEPT":
                self._require(bool(hold.kept), "it was kept without a decision")
                self._becomes(claim.at, self.price)
            case "GONE":
                pass
            case _:
                raise self._broken(f"it went from {claim.old_state} to {claim.state}")

    def _require(self, holds: bool, problem: str) -> None:
        if not holds:
            raise self._broken(problem)

    def _broken(self, problem: str) -> BrokenRule:
        return BrokenRule(f"variant {self.variant_id}: {problem}")


def judge(
    prices: Mapping[int, Price],
    events: Sequence[Event],
    rules: Mapping[UUID, Sequence[SaleSettings]],
    nhanh: Mapping[int, set[Price]],
    at_the_end: Mapping[int, Price],
) -> None:
    """Raise BrokenRule for the first variant of which something is not as it must be.

    Args:
        prices: what each variant cost when it was first seen.
        rules: the definitions that each campaign has had.
        nhanh: the prices that Nhanh.vn has ever had for a variant.
        at_the_end: what Shopify has.
    """
    in_order = sorted(events, key=lambda event: event.at)
    for variant_id, price in prices.items():
        verdict, lived = Verdict(variant_id, price, rules, nhanh.get(variant_id, set())), []
        try:
            for event in in_order:
                if isinstance(event, Prepared) or event.variant_id == variant_id:
                    lived.append(event)
                    verdict.take(event)
            verdict.check_end(at_the_end.get(variant_id))
        except BrokenRule as broken:
            shown = "\n".join(map(str, lived))
            raise BrokenRule(f"{broken}; what happened to it:\n{shown}") from None


def _shown(price: Price) -> str:
    return f"{price[0]:f}/{'-' if price[1] is None else f'{price[1]:f}'}"


def _all(prices: set[Price]) -> str:
    return " or ".join(sorted(map(_shown, prices)))
