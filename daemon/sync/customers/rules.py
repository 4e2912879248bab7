"""What Shopify should say of a customer, by what the customer has spent at Nhanh.vn: total, tier, and what differs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from daemon.config import CustomerSyncSettings
from daemon.config.settings import TierSettings
from daemon.sources.shopify.models import Metafield
from daemon.sync.customers.formats import DEFAULT, Formats, tier_format, total_format

Metafields = Mapping[str, Metafield | None]  # by "namespace.key"; None: not set


@dataclass(frozen=True, slots=True)
class MetafieldDifference:
    """A metafield that should have another value."""

    name: str
    type: str
    present: Metafield | None
    desired: str

    @property
    def present_value(self) -> str | None:
        """What it says now; None where it is not set."""
        return None if self.present is None else self.present.value


@dataclass(frozen=True, slots=True)
class TagDifference:
    """Tier tags that should change. Both sides are spelled as they are, or will be, at Shopify."""

    present: tuple[str, ...]
    desired: tuple[str, ...]

    @property
    def added(self) -> tuple[str, ...]:
        """What is missing."""
        return tuple(tag for tag in self.desired if tag not in self.present)

    @property
    def removed(self) -> tuple[str, ...]:
        """What is there and should not be."""
        return tuple(tag for tag in self.present if tag not in self.desired)


@dataclass(frozen=True, slots=True)
class Standing:
    """The total and the tier that a customer has reached."""

    total: int
    tier: str | None


@dataclass(frozen=True, slots=True)
class Differences:
    """What is to be pushed for a customer."""

    metafields: tuple[MetafieldDifference, ...] = ()
    tags: TagDifference | None = None

    def __bool__(self) -> bool:
        return bool(self.metafields) or self.tags is not None


NOTHING = Differences()


def spent_total(amount: Decimal) -> int:
    """What was spent, by Nhanh.vn, as a whole number: rounded half up, and nothing where more was returned."""
    return max(int(amount.quantize(Decimal(1), ROUND_HALF_UP)), 0)


def tier_of(total: int, tiers: Sequence[TierSettings]) -> str | None:
    """The highest tier that the total reaches; None below the lowest. `tiers` go from low to high."""
    return next((tier.name.strip() for tier in reversed(tiers) if tier.threshold <= total), None)


def same_tags(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether these are the same tags; Shopify's know no upper and lower case."""
    return set(map(_folded, some)) == set(map(_folded, others))


def tags_as_text(tags: Iterable[str]) -> str | None:
    """Tags as a push notes them; None for none."""
    return ", ".join(tags) or None


def tags_from_text(text: str | None) -> list[str]:
    """The tags that a push has noted."""
    return [tag.strip() for tag in text.split(",")] if text else []


class CustomerRules:
    """The rules of one store under its settings."""

    def __init__(self, settings: CustomerSyncSettings, formats: Formats = DEFAULT) -> None:
        self.settings = settings
        self.formats = formats
        self._tier_tags = {_folded(tier.name) for tier in settings.tiers}
        self.metafields = (settings.total_spent, *([settings.tier] if settings.tier is not None else []))

    def standing(self, amount: Decimal) -> Standing:
        """Total and tier of a customer who has spent so much."""
        total = spent_total(amount)
        return Standing(total, tier_of(total, self.settings.tiers))

    def are_known(self, metafields: Metafields | None) -> bool:
        """Whether all metafields that may be pushed have been read."""
        return metafields is not None and all(name in metafields for name in self.metafields)

    def says(self, name: str | None, present: str | None, value: str | None) -> bool:
        """Whether a metafield says this value, however it is spelled; None for none."""
        if value is None:
            return present is None
        form = self.formats.total if name == self.settings.total_spent else self.formats.tier
        return form.is_same(present, value)

    def tier_tags(self, tags: Iterable[str], besides: Iterable[str] = ()) -> tuple[str, ...]:
        """Those of a customer's tags that name a tier, or are among `besides`."""
        known = self._tier_tags | set(map(_folded, besides))
        return tuple(tag for tag in tags if _folded(tag) in known)

    def differences(self, standing: Standing, metafields: Metafields, tags: Sequence[str]) -> Differences:
        """What is to be pushed, given what Shopify says now.

        A change of the total below `minimum_change` is left alone, unless the tier changes with it. The metafield of
        the tier is left alone where a customer has no tier: Shopify takes no blank values.
        """
        tier_tags = self._tag_difference(standing, tags)
        tier = self._tier_difference(standing, metafields)
        total = self._total_difference(standing, metafields, changes_tier=tier_tags is not None or tier is not None)
        return Differences(tuple(each for each in (total, tier) if each is not None), tier_tags)

    def _total_difference(
        self, standing: Standing, metafields: Metafields, *, changes_tier: bool
    ) -> MetafieldDifference | None:
        name = self.settings.total_spent
        present = metafields.get(name)
        form = self.formats.total
        desired = form.write(str(standing.total))
        if present is not None:
            known = total_format(present, form).amount(present.value)
            change = None if known is None else abs(standing.total - known)
            if change is not None and (change == 0 or (change < self.settings.minimum_change and not changes_tier)):
                return None
        return MetafieldDifference(name, form.type, present, desired)

    def _tier_difference(self, standing: Standing, metafields: Metafields) -> MetafieldDifference | None:
        name = self.settings.tier
        if name is None or standing.tier is None:
            return None
        present = metafields.get(name)
        form = self.formats.tier
        desired = form.write(standing.tier)
        if present is not None:
            known = tier_format(present, form)
            if known.is_same(present.value, known.write(standing.tier)):
                return None
        return MetafieldDifference(name, form.type, present, desired)

    def _tag_difference(self, standing: Standing, tags: Sequence[str]) -> TagDifference | None:
        if not self.settings.tier_tags:
            return None
        present = self.tier_tags(tags)
        desired: tuple[str, ...] = ()
        if standing.tier is not None:
            wanted = _folded(standing.tier)
            desired = tuple(tag for tag in present if _folded(tag) == wanted) or (standing.tier,)
        return None if present == desired else TagDifference(present, desired)


def _folded(tag: str) -> str:
    return tag.strip().casefold()
