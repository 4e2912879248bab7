"""Brings the data of the embedded server to the major version of PostgreSQL that came with dongbo."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from daemon.database.backup import back_up
from daemon.database.embedded import embedded_server, server_of
from daemon.database.pool import FEWEST_CONNECTIONS, open_database
from daemon.database.postgres_binaries import find_binaries
from daemon.database.postgres_clients import find_clients
from daemon.database.postgres_data import data_directory, major_version_of
from daemon.database.replacement import replacement_of
from daemon.database.restore import load
from daemon.database.state_lock import state_lock
from daemon.errors import EmbeddedServerError
from daemon.i18n import gettext as _


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What was upgraded.

    Args:
        before: the major version that had made the data.
        version: of the PostgreSQL that it is for now.
        kept: where the old data is; None where there was nothing to do.
    """

    before: int
    version: str
    rows: int
    kept: Path | None


async def upgrade_embedded(state_directory: Path, *, old_binaries: Path | None) -> Upgrade:
    """Copy the data into a new data directory of the newest PostgreSQL, and put that in the place of the old one.

    The old data is read by the PostgreSQL that made it, and kept. Each table must have as many rows in the copy.

    Args:
        old_binaries: a directory with that PostgreSQL, where it is not found by itself.

    Raises:
        EmbeddedServerError: there is no data, or not the PostgreSQL that made it.
        EmbeddedDataInUse: a daemon runs on it.
        BackupError: it could not be copied.
    """
    with state_lock(state_directory):
        made_by = major_version_of(data_directory(state_directory))
        if made_by is None:
            raise EmbeddedServerError(
                _("There is no data in {directory} yet: the first start of the daemon makes it").format(
                    directory=state_directory
                )
            )
        newest = await find_binaries(None)
        if newest.major <= made_by:
            return Upgrade(made_by, newest.version, 0, None)
        old = await find_binaries(made_by, besides=old_binaries)
        clients = await find_clients(newest.major, local=True)
        with replacement_of(state_directory) as replacement:
            copy = replacement.state_directory / "copy.dump"
            async with (
                server_of(state_directory, old) as server,
                open_database(server.dsn, max_connections=FEWEST_CONNECTIONS) as database,
            ):
                backup = await back_up(database, copy, clients=clients)
            async with embedded_server(replacement.state_directory) as server:
                await load(copy, clients, server.dsn)
            kept = await asyncio.to_thread(replacement.put_in_place)
    return Upgrade(made_by, newest.version, backup.rows, kept)
