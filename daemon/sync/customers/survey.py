"""What a sync of customers would push, in figures and examples, for people who want to know before."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from daemon.sync.customers.rules import CustomerRules
from daemon.sync.customers.run import Customer

SAMPLE = 50  # customers
NO_TIER = "no tier"


class CustomerSurvey:
    """Adds customers up."""

    def __init__(self, rules: CustomerRules) -> None:
        self._rules = rules
        self._tiers: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()
        self._without_total = self._not_read = 0
        self._sample: list[dict[str, Any]] = []
        self.customers = 0

    def add(self, customer: Customer) -> None:
        """Take a customer into account."""
        self.customers += 1
        if customer.standing is None:
            self._without_total += 1
            return
        self._tiers[customer.standing.tier or NO_TIER] += 1
        if not self._rules.are_known(customer.row.metafields):
            self._not_read += 1
            return
        self._changes.update(difference.name for difference in customer.differences.metafields)
        self._changes["tags"] += customer.differences.tags is not None
        if customer.differences and len(self._sample) < SAMPLE:
            self._sample.append(_example(customer))

    def figures(self) -> Mapping[str, Any]:
        """For a job's metadata."""
        return {
            "tiers": dict(self._tiers),
            "would_change": {name: self._changes[name] for name in (*self._rules.metafields, "tags")},
            "without_total": self._without_total,  # Nhanh.vn does not say what they have spent: left alone
            "metafields_not_read": self._not_read,  # a sync reads them first
            "sample": self._sample,
        }


def _example(customer: Customer) -> dict[str, Any]:
    tags = customer.differences.tags
    return {
        "shopify_id": customer.id,
        "nhanh_id": customer.row.nhanh_id,
        "tier": customer.standing and customer.standing.tier,
        "metafields": {each.name: [each.present_value, each.desired] for each in customer.differences.metafields},
        "tags": tags and [list(tags.present), list(tags.desired)],
    }
