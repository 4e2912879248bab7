"""What a product sync asks a person, as facts; the sentences are made of them in the language of whoever reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from daemon.api.approvals import ChangedSetting
from daemon.i18n import gettext as _
from daemon.i18n import mark, ngettext, number_text
from daemon.sync.products.rows import REASON

EXAMPLES = ("zero_examples", "vat_examples", "rule_examples", "beyond_examples", "price_examples")
PRICE_KINDS = {"retail": mark("retail"), "wholesale": mark("wholesale"), "old": mark("old")}  # as configured


@dataclass(frozen=True, slots=True)
class Example:
    """A change that a sentence names. `location_id` is that of stock."""

    name: str
    old: str | None
    new: str | None
    location_id: int | None = None
    is_compare_at_price: bool = False

    def __str__(self) -> str:
        old, new = self.old or _("none"), self.new or _("none")
        if self.location_id is not None:
            change = _("{old} → {new} at {location}").format(old=old, new=new, location=self.location_id)
        elif self.is_compare_at_price:
            change = _("compare-at price {old} → {new}").format(old=old, new=new)
        else:
            change = f"{old} → {new}"
        return f"{self.name} ({change})"


@dataclass(frozen=True, slots=True)
class PlanQuestion:
    """What a sync would do that a person has to look at first; kept as JSON with the question.

    Args:
        zeroed: items that would be set to zero; `zeroed_before`: those that were within 24 hours, unasked.
        by_vat: prices in which VAT would be taken into account for the first time.
        asked_by_rule: changes about which rules of the configuration have a person asked.
        beyond_reason: prices that would change by the factor `REASON` or more.
        repriced: variants whose prices would change by `large_price_change`, a share, or more.
        prices: the kinds of prices of Nhanh.vn that are synced.
        is_partly_approved: whether a person has approved some of it before.
        pushed: values that the job has pushed before.
        changed_settings: what is configured otherwise than when a sync went through last, at `settings_since`; None
            where that is not known.
    """

    zeroed: int = 0
    zeroed_before: int = 0
    max_zeroed: int = 0
    zero_examples: Sequence[Example] = ()
    depots: Sequence[int] = ()
    by_vat: int = 0
    vat_examples: Sequence[Example] = ()
    asked_by_rule: int = 0
    rule_examples: Sequence[Example] = ()
    beyond_reason: int = 0
    beyond_examples: Sequence[Example] = ()
    repriced: int = 0
    repriced_within_reason: int = 0
    repriced_before: int = 0
    max_repriced: int = 0
    large_price_change: float = 0.0
    price_examples: Sequence[Example] = ()
    prices: Sequence[str] = ()
    is_partly_approved: bool = False
    pushed: int = 0
    changed_settings: Sequence[ChangedSetting] = field(default=())
    settings_since: datetime | None = None

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """As `to_json` has given it."""
        members = dict(facts)
        for name in EXAMPLES:
            members[name] = [Example(**example) for example in members.get(name, ())]
        members["changed_settings"] = [ChangedSetting(**setting) for setting in members["changed_settings"]]
        since = members["settings_since"]
        members["settings_since"] = datetime.fromisoformat(since) if since is not None else None
        return cls(**members)

    def to_json(self) -> dict[str, Any]:
        """For the database."""
        return asdict(self)

    def reason(self) -> str:
        """Why a person is asked: what would happen, and what has."""
        before = ngettext(
            ", but this job has already pushed {n} other value",
            ", but this job has already pushed {n} other values",
            self.pushed,
        ).format(n=number_text(self.pushed))
        sentences = [
            _("This sync would {changes}.").format(changes=_(", and ").join(self._would())),
            *([_("The rest was approved before.")] if self.is_partly_approved else ()),
            _("None of that was pushed{before}.").format(before=before if self.pushed else ""),
        ]
        return " ".join(sentences)

    def look_at(self) -> list[str]:
        """What to check at Nhanh.vn before approving."""
        points = []
        if self.zeroed:
            points.append(
                _(
                    "whether the stock of these items is right there, and whether the access token can still see all "
                    "depots ({depots})"
                ).format(depots=", ".join(map(str, self.depots)))
            )
        if self.by_vat:
            points.append(_("whether the VAT of these products is right, and whether Shopify adds tax at the checkout"))
        if self.asked_by_rule:
            points.append(_("whether the changes that your rules have asked about are right"))
        if self.repriced or self.beyond_reason:
            prices = _(" and ").join(_(PRICE_KINDS[kind]) for kind in self.prices)
            points.append(_("whether the {prices} prices there are right").format(prices=prices))
        return points

    def text(self) -> str:
        """All of it."""
        check = _("Check at Nhanh.vn first: {points}. Then approve these changes, or reject them.")
        return f"{self.reason()} {check.format(points='; '.join(self.look_at()))}"

    def _would(self) -> list[str]:
        said = []
        if self.zeroed:
            sentence = ngettext(
                "set {n} item to zero that Shopify has in stock{besides} (more than {most} within 24 hours are not set "
                "to zero unasked), such as {examples}",
                "set {n} items to zero that Shopify has in stock{besides} (more than {most} within 24 hours are not "
                "set to zero unasked), such as {examples}",
                self.zeroed,
            )
            besides = ngettext(
                ", besides {n} that was zeroed unasked in the last 24 hours",
                ", besides {n} that were zeroed unasked in the last 24 hours",
                self.zeroed_before,
            )
            said.append(
                sentence.format(
                    n=number_text(self.zeroed),
                    besides=besides.format(n=number_text(self.zeroed_before)) if self.zeroed_before else "",
                    most=number_text(self.max_zeroed),
                    examples=_listed(self.zero_examples),
                )
            )
        if self.by_vat:
            sentence = ngettext(
                "take VAT into account in {n} price for the first time, because prices include it on one side and not "
                "on the other (priceVatMode of Nhanh.vn, taxesIncluded of Shopify), such as {examples}",
                "take VAT into account in {n} prices for the first time, because prices include it on one side and not "
                "on the other (priceVatMode of Nhanh.vn, taxesIncluded of Shopify), such as {examples}",
                self.by_vat,
            )
            said.append(sentence.format(n=number_text(self.by_vat), examples=_listed(self.vat_examples)))
        if self.asked_by_rule:
            sentence = ngettext(
                "make {n} change about which a rule of the configuration has you asked, such as {examples}",
                "make {n} changes about which rules of the configuration have you asked, such as {examples}",
                self.asked_by_rule,
            )
            said.append(sentence.format(n=number_text(self.asked_by_rule), examples=_listed(self.rule_examples)))
        if self.beyond_reason:
            sentence = ngettext(
                "change {n} price by a factor of {factor} or more, which always needs approval, such as {examples}",
                "change {n} prices by a factor of {factor} or more, which always needs approval, such as {examples}",
                self.beyond_reason,
            )
            examples = _listed(self.beyond_examples)
            said.append(sentence.format(n=number_text(self.beyond_reason), factor=REASON, examples=examples))
        if self.repriced_within_reason:
            said.append(self._reprices())
        return said

    def _reprices(self) -> str:
        sentence = ngettext(
            "change {n} price by {share} or more{besides} (more than {most} within 24 hours are not changed so much "
            "unasked; removing a compare-at price counts as well), such as {examples}",
            "change {n} prices by {share} or more{besides} (more than {most} within 24 hours are not changed so much "
            "unasked; removing a compare-at price counts as well), such as {examples}",
            self.repriced,
        )
        besides = ngettext(
            ", besides {n} that was changed so much unasked in the last 24 hours",
            ", besides {n} that were changed so much unasked in the last 24 hours",
            self.repriced_before,
        )
        return sentence.format(
            n=number_text(self.repriced),
            share=f"{self.large_price_change:.0%}",
            besides=besides.format(n=number_text(self.repriced_before)) if self.repriced_before else "",
            most=number_text(self.max_repriced),
            examples=_listed(self.price_examples),
        )


def _listed(examples: Sequence[Example]) -> str:
    return ", ".join(map(str, examples))
