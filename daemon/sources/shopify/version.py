"""Which version of its API Shopify answers by, and until when that lives.

Source: Shopify documentation, "About Shopify API versioning": a version lives for a year from its first day at least;
afterwards a call falls forward to the oldest version that lives, and only a header of the answer tells.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

API_VERSION = "2026-10"
ENDS_SOON = timedelta(days=60)  # until then a release of dongbo has to be out, and to be installed

SERVED = "X-Shopify-API-Version"
DEPRECATED = "X-Shopify-API-Deprecated-Reason"


def supported_until(version: str = API_VERSION) -> datetime:
    """The moment from which Shopify may serve another version instead."""
    year, month = version.split("-")
    return datetime(int(year) + 1, int(month), 1, tzinfo=UTC)


class ApiVersion:
    """What the answers of one shop say of the version."""

    def __init__(self) -> None:
        self.served = API_VERSION
        self.deprecated_reason: str | None = None  # as last said; it concerns some of the calls only

    def note(self, headers: Mapping[str, str]) -> bool:
        """Take in what an answer says; whether that is news that a person should hear of."""
        before = self.served, self.deprecated_reason
        self.served = headers.get(SERVED, self.served)
        self.deprecated_reason = headers.get(DEPRECATED, self.deprecated_reason)
        return (self.served, self.deprecated_reason) != before and any(self._told())

    def problems(self, now: datetime) -> list[str]:
        """What a person should know, a sentence each."""
        told = list(self._told())
        if self.served == API_VERSION and now > supported_until() - ENDS_SOON:
            told.append(
                f"Version {API_VERSION} of Shopify's API is supported until {supported_until():%Y-%m-%d} only: upgrade"
                " dongbo before."
            )
        return told

    def _told(self) -> Iterator[str]:
        if self.served != API_VERSION:
            yield (
                f"Shopify answers by version {self.served[:50]} of its API instead of {API_VERSION}, for which dongbo"
                " was made: upgrade dongbo, and until then look closely at what it pulls and pushes."
            )
        if self.deprecated_reason is not None:
            yield (
                f"Shopify says that a call of dongbo will be gone soon ({self.deprecated_reason[:300]}): upgrade it."
            )
