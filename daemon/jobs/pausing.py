"""Pausing all writing to a store, and resuming it, at a person's request."""

from datetime import UTC, datetime

import structlog

from daemon.database.pool import Database
from daemon.errors import InvalidTransition
from daemon.i18n import gettext as _
from daemon.ids import StoreName
from daemon.jobs import actions, pauses
from daemon.jobs.pauses import StorePause
from daemon.jobs.steering import ActionKind, SubjectKind

log = structlog.get_logger()


async def pause_store(database: Database, store: StoreName, until: datetime | None, reason: str | None) -> StorePause:
    """Read and plan everything, but write nothing to Shopify; a call that is on its way there comes to its end.

    Args:
        database: the daemon's.
        store: one of the configuration.
        until: when writing goes on by itself, aware; None: when somebody resumes it.
        reason: for whoever wonders why.

    Raises:
        InvalidTransition: that time has passed.
    """
    if until is not None and until <= datetime.now(UTC):
        raise InvalidTransition(_("A pause can't end in the past: give a time that is still to come."))
    asker = actions.asker()
    detail = {"until": until.isoformat() if until is not None else None, "reason": reason}
    async with database.acquire() as connection, connection.transaction():
        pause = await pauses.pause(connection, store, until, reason, asker.who if asker is not None else None)
        await actions.note(connection, ActionKind.PAUSE_STORE, store, SubjectKind.STORE, store, detail=detail)
    log.info("store_paused", store=store, until=until and str(until), reason=reason)
    return pause


async def resume_store(database: Database, store: StoreName) -> None:
    """Let everything be written again. No effect on a store that is not paused."""
    async with database.acquire() as connection, connection.transaction():
        pause = await pauses.resume(connection, store)
        if pause is not None:
            await actions.note(connection, ActionKind.RESUME_STORE, store, SubjectKind.STORE, store)
    if pause is not None:
        log.info("store_resumed", store=store, paused_since=str(pause.since))
