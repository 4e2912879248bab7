"""Which version of its API Shopify answers with, and until when that is supported.

Source: Shopify documentation, "About Shopify API versioning": a version is supported for at least its first year;
afterwards a call falls forward to the oldest supported version, and only a header of the answer says so.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from daemon.i18n import gettext as _

API_VERSION = "2026-10"
ENDS_SOON = timedelta(days=60)  # by then a new release of dongbo must be out and installed

SERVED = "X-Shopify-API-Version"
DEPRECATED = "X-Shopify-API-Deprecated-Reason"


def supported_until(version: str = API_VERSION) -> datetime:
    """The moment from which Shopify may serve another version instead."""
    year, month = version.split("-")
    return datetime(int(year) + 1, int(month), 1, tzinfo=UTC)


class ApiVersion:
    """What the answers of one shop say about the version."""

    def __init__(self) -> None:
        self.served = API_VERSION
        self.deprecated_reason: str | None = None  # as last said; it concerns only some of the calls

    def note(self, headers: Mapping[str, str]) -> bool:
        """Take in what an answer says; returns whether that is news for a person."""
        before = self.served, self.deprecated_reason
        self.served = headers.get(SERVED, self.served)
        self.deprecated_reason = headers.get(DEPRECATED, self.deprecated_reason)
        return (self.served, self.deprecated_reason) != before and any(self._told())

    def problems(self, now: datetime) -> list[str]:
        """What a person should know, a sentence each."""
        told = list(self._told())
        if self.served == API_VERSION and now > supported_until() - ENDS_SOON:
            told.append(
                _(
                    "Version {version} of Shopify's API is supported only until {day}: upgrade dongbo before then."
                ).format(version=API_VERSION, day=supported_until().date())
            )
        return told

    def _told(self) -> Iterator[str]:
        if self.served != API_VERSION:
            yield (
                _(
                    "Shopify answers with version {served} of its API instead of {version}, which dongbo was made "
                    "for: upgrade dongbo, and until then look closely at what it pulls and pushes."
                ).format(served=self.served[:50], version=API_VERSION)
            )
        if self.deprecated_reason is not None:
            yield (
                _("Shopify will soon remove a call that dongbo makes ({reason}): upgrade dongbo.").format(
                    reason=self.deprecated_reason[:300]
                )
            )
