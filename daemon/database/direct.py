"""Connections past a pooler, for those who listen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from daemon.database.connection_errors import next_step, reason
from daemon.database.sessions import Session, SessionSetup, unreadable
from daemon.errors import DatabaseUnavailable
from daemon.i18n import gettext as _

CONNECT_TIMEOUT = 10.0  # seconds for one connection attempt
CLOSE_TIMEOUT = 2.0  # seconds


class DirectConnections:
    """A bounded number of connections to an address of their own, each made for its borrower and closed after that.

    Args:
        dsn: the address.
        most: how many there are at once; who comes beyond that waits.
        command_timeout: seconds after which the client gives up a statement.
    """

    def __init__(self, dsn: str, setup: SessionSetup, most: int, command_timeout: float) -> None:
        self.dsn = dsn
        self.setup = setup
        self._command_timeout = command_timeout
        self._places = asyncio.Semaphore(most)
        self._open: set[Session] = set()

    @property
    def where(self) -> str:
        """What to call the address in front of people."""
        return self.setup.where

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Session]:
        """Lends a new connection.

        Raises:
            DatabaseUnavailable: there is none.
        """
        async with self._places:
            connection = await self._connect()
            self._open.add(connection)
            try:
                yield connection
            finally:
                self._open.discard(connection)
                # To close it in order would warn of every listener that is still there.
                with suppress(asyncpg.InterfaceError):  # it broke already
                    connection.terminate()

    def terminate(self) -> None:
        """End all of them at once."""
        for connection in list(self._open):
            with suppress(asyncpg.InterfaceError):
                connection.terminate()

    async def _connect(self) -> Session:
        try:
            connection: Session = await asyncpg.connect(
                self.dsn, timeout=CONNECT_TIMEOUT, command_timeout=self._command_timeout, **self.setup.options()
            )
        except (asyncpg.ClientConfigurationError, ValueError) as error:
            raise unreadable("listen_url", error) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise DatabaseUnavailable(
                _("no connection to {where} ([database] listen_url): {error}. {next_step}").format(
                    where=self.where, error=reason(error), next_step=next_step(error)
                )
            ) from error
        try:
            await self.setup.prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection
