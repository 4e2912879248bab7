"""What is kept of a source is in the language of the configuration, whoever has asked."""

import pytest

from daemon.errors import SourceUnavailable
from daemon.i18n import Language, spoken
from daemon.i18n import gettext as _
from daemon.sources.health import SourceHealth
from daemon.sources.http import Backoff, retrying
from daemon.sources.meter import CallMeter


async def test_why_a_source_is_away_is_kept_for_everybody() -> None:
    """A call that somebody asks for in Vietnamese may be the one that finds it."""
    health = SourceHealth()

    async def attempt() -> None:
        raise SourceUnavailable(_("waits for its turn"))

    with spoken(Language.VIETNAMESE), pytest.raises(SourceUnavailable):
        await retrying(attempt, meter=CallMeter(), source="Shopify", health=health, backoff=Backoff(attempts=1))
    assert health.reason == "waits for its turn"
