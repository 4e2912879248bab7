"""Whether the daemon can do its work: what `/readyz`, `/status` and `/metrics` say about it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from asyncpg import PostgresError

from daemon.api.status import Check
from daemon.database.connection_errors import reason
from daemon.database.migrate import Schema, read_schema
from daemon.database.pool import is_connection_error
from daemon.errors import DongboError
from daemon.i18n import gettext as _
from daemon.lifecycle import Part
from daemon.roles import DaemonRole
from daemon.status.background import Background, SharedReading
from daemon.status.parts import StatusParts

CHECK_TIMEOUT = 2.0  # seconds
DATABASE_CHECK = "database"


@dataclass(frozen=True, slots=True)
class _DatabaseAnswer:
    seconds: float  # one round trip
    schema: Schema


class Checks:
    """The conditions under which the daemon is ready."""

    def __init__(self, parts: StatusParts, background: Background) -> None:
        self._parts = parts
        self._checked = _checked_parts(parts)
        self._database = SharedReading(background, "status-database-check", self._ask_database, CHECK_TIMEOUT)

    async def run(self) -> list[Check]:
        """All checks, in at most CHECK_TIMEOUT seconds."""
        if (obstacle := self._parts.obstacle()) is not None:
            waits = _("waits for the database")
            return [*_failed_database(obstacle), *(Check(name, False, waits) for name in self._checked)]
        return [
            *await self._check_database(),
            *(Check(name, *part.health) for name, part in self._checked.items()),
            *self._check_replica(),
        ]

    def _check_replica(self) -> list[Check]:
        """How it stands, where there is one; being ready does not depend on it."""
        replica = self._parts.database.replica
        return [Check("replica", *replica.health)] if replica is not None else []

    async def _ask_database(self) -> _DatabaseAnswer:
        async with self._parts.database.acquire() as connection:
            began = time.perf_counter()
            await connection.fetchval("SELECT 1")
            seconds = time.perf_counter() - began
            return _DatabaseAnswer(seconds, await read_schema(connection))

    async def _check_database(self) -> list[Check]:
        try:
            answer = await self._database.get()
        except TimeoutError:
            failure = _("no answer within {n:g} s").format(n=CHECK_TIMEOUT)
        except (DongboError, PostgresError, OSError) as error:
            failure = reason(error)
        except Exception as error:
            if not is_connection_error(error):
                raise
            failure = reason(error)
        else:
            return [
                Check(DATABASE_CHECK, True, _("answers in {n:.1f} ms").format(n=answer.seconds * 1000)),
                self._check_schema(answer.schema),
            ]
        return _failed_database(failure)

    def _check_schema(self, schema: Schema) -> Check:
        found, program = schema.version, self._parts.schema_version
        if found == program:
            return Check("schema", True, _("version {number}").format(number=found))
        if found > program and schema.suits(program):
            return Check(
                "schema",
                True,
                _("version {found}, with which this older program of version {program} works: upgrade it, too").format(
                    found=found, program=program
                ),
            )
        remedy = _("restart the daemon to migrate it") if found < program else _("install a newer dongbo")
        return Check(
            "schema",
            False,
            _("version {found}, but this program works with {wanted}: {remedy}").format(
                found=found, wanted=program, remedy=remedy
            ),
        )


def _checked_parts(parts: StatusParts) -> Mapping[str, Part]:
    """What a daemon of these roles can't do without."""
    checked: dict[str, Part] = {"listener": parts.hub}
    if DaemonRole.SCHEDULES in parts.roles:
        checked |= {"scheduler": parts.scheduler, "sale_clock": parts.sale_clock}
    if DaemonRole.WORKER in parts.roles:
        checked["worker"] = parts.queue
    return checked


def _failed_database(failure: str) -> list[Check]:
    return [Check(DATABASE_CHECK, False, failure), Check("schema", False, _("unknown while the database is away"))]
