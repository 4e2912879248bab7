"""Under which circumstances a pull began: at which shop, and at what time there. Kept in the job's metadata.

Not in its checkpoint, which a daemon of an older version may continue from, and expects to hold only what it knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from daemon.mirror.watermarks import Watermark
from daemon.sources.decode import EPOCH
from daemon.sources.horizon import Horizon
from daemon.sources.page import Page


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All times are the source's own.

    Args:
        identity: of the shop or business that is pulled; None: a daemon of an older version has begun.
        replaces: of the one that was pulled before, where that was another.
        began: the source's time when the pull began, at least.
        newest: the newest change that was known of then; where the source can't tell, that has been seen since.
    """

    identity: str | None = None
    replaces: str | None = None
    began: datetime | None = None
    newest: datetime | None = None
    is_newest_known: bool = False  # by the source, before the first page

    @classmethod
    def of(cls, horizon: Horizon, known: Watermark | None) -> "Circumstances":
        """At the beginning of a pull."""
        before = known.identity if known is not None else None
        return cls(
            identity=horizon.identity,
            replaces=before if before not in (None, horizon.identity) else None,
            began=horizon.time,
            newest=horizon.newest,
            is_newest_known=horizon.newest is not None,
        )

    @classmethod
    def from_json(cls, metadata: Mapping[str, Any]) -> "Circumstances":
        """As a job's metadata keeps them; without any where it keeps none."""
        return cls(
            identity=metadata.get("source_identity"),
            replaces=metadata.get("replaces_identity"),
            began=_moment(metadata.get("source_time")),
            newest=_moment(metadata.get("newest_change")),
            is_newest_known=bool(metadata.get("newest_is_told")),
        )

    def to_json(self) -> dict[str, Any]:
        """For a job's metadata."""
        return {
            "source_identity": self.identity,
            "replaces_identity": self.replaces,
            "source_time": self.began and self.began.isoformat(),
            "newest_change": self.newest and self.newest.isoformat(),
            "newest_is_told": self.is_newest_known,
        }

    def after(self, page: Page[Any]) -> "Circumstances":
        """Behind a page, whose newest change counts where the source could not tell it beforehand."""
        if self.is_newest_known:
            return self
        times = [at for row in page.rows if (at := getattr(row.value, "updated_at", None)) is not None]
        times += [row.updated_at for row in page.unread if row.updated_at is not None and row.updated_at > EPOCH]
        return replace(self, newest=max([*times, *([self.newest] if self.newest else [])], default=None))

    def complete_to(self, doubt: timedelta | None) -> datetime | None:
        """Until when the list is known once the pull has ended; None: unknown.

        Not later than the beginning, since what has changed after it may lie after the reading. And not later than the
        newest row, whose time comes from the clock that dates the others, unless that is more than `doubt` ago: so far
        may the source's clock be from that of its rows. None: there is no saying how far.
        """
        candidates = [self.newest] if self.newest is not None else []
        if self.began is None:
            return self.newest if self.is_newest_known else None
        if doubt is not None:
            candidates.append(self.began - doubt)
        return min(max(candidates), self.began) if candidates else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
