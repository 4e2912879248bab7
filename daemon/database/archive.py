"""What is in a backup: an archive as `pg_dump --format=custom` writes it, read by `pg_restore`."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from daemon.database.postgres_clients import Clients, find_clients, running_client
from daemon.errors import BackupError
from daemon.i18n import gettext as _

MAGIC = b"PGDMP"
# The oldest PostgreSQL that reads an archive, by the second number of the archive's format (pg_backup_archiver.h); a
# format that is not known yet is for the newest that there is.
READ_BY = {14: 14, 15: 16, 16: 17}
NEWEST_KNOWN = 18
PIECE = 2**16  # bytes
TABLE = re.compile(rb'COPY dongbo\."?([^" ]+)"? .*FROM stdin;$')
EXTENSION = re.compile(rb"^CREATE EXTENSION IF NOT EXISTS (\w+) WITH SCHEMA (\w+);$", re.MULTILINE)
VERSION = re.compile(rb"^(\d+)\t", re.MULTILINE)
END_OF_TABLE = b"\\.\n"


class RowCounter:
    """Counts the rows of each table in a script of pg_restore, which is fed piece by piece."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._table: str | None = None
        self._rest = b""

    @property
    def rows(self) -> Mapping[str, int]:
        """How many rows each table has, those that are empty among them."""
        return self._rows

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the script, wherever it is cut."""
        text, place = self._rest + piece, 0
        while (following := self._next(text, place)) != place:
            place = following
        self._rest = text[place:]

    def _next(self, text: bytes, place: int) -> int:
        """Where the text continues behind what can be told from it; `place` where nothing more can be."""
        if self._table is not None:
            return self._count(text, place, self._table)
        line_end = text.find(b"\n", place)
        if line_end < 0:
            return place
        if (match := TABLE.match(text, place, line_end)) is not None:
            self._table = match[1].decode()
            self._rows.setdefault(self._table, 0)
        return line_end + 1

    def _count(self, text: bytes, place: int, table: str) -> int:
        if text.startswith(END_OF_TABLE, place):
            self._table = None
            return place + len(END_OF_TABLE)
        last = text.find(b"\n" + END_OF_TABLE, place)  # at the beginning of a line: within a row it is another \\.
        whole = (last if last >= 0 else text.rfind(b"\n", place)) + 1
        if whole <= place:
            return place
        self._rows[table] += text.count(b"\n", place, whole)
        return whole


async def clients_for(archive: Path, *, local: bool) -> Clients:
    """The programs that can read an archive, and restore it to a server of this machine or elsewhere.

    Raises:
        BackupError: it is none, or there are no such programs.
    """
    try:
        with archive.open("rb") as file:
            head = file.read(len(MAGIC) + 2)
    except OSError as error:
        raise BackupError(_("{file} can't be read: {reason}").format(file=archive, reason=error.strerror)) from None
    if not head.startswith(MAGIC) or len(head) < len(MAGIC) + 2:
        raise BackupError(_("{file} is no backup: it is not what `dongbo database backup` writes").format(file=archive))
    return await find_clients(READ_BY.get(head[-1], NEWEST_KNOWN), local=local)


async def rows_in(archive: Path, clients: Clients) -> Mapping[str, int]:
    """How many rows of each table are in an archive. All of its data is read for it.

    Raises:
        BackupError: it can't be read to its end.
    """
    counter = RowCounter()
    async with script_of(archive, clients, "--data-only") as script:
        async for piece in script:
            counter.feed(piece)
    return counter.rows


async def extensions_in(archive: Path, clients: Clients) -> Mapping[str, str]:
    """The extensions that an archive needs, and in which schema each is.

    Raises:
        BackupError: it can't be read.
    """
    text = await _read_all(archive, clients, "--section=pre-data")
    return {name.decode(): schema.decode() for name, schema in EXTENSION.findall(text)}


async def schema_version_in(archive: Path, clients: Clients) -> int:
    """The schema version of the database that was backed up.

    Raises:
        BackupError: it can't be read, or is not of a database of dongbo.
    """
    text = await _read_all(archive, clients, "--data-only", "--table=schema_migrations")
    versions = [int(match) for match in VERSION.findall(text)]
    if not versions:
        raise BackupError(_("{file} is no backup of dongbo: it has none of its tables").format(file=archive))
    return max(versions)


@asynccontextmanager
async def script_of(archive: Path, clients: Clients, *options: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """What pg_restore makes of an archive: the SQL that restores it, in pieces.

    Raises:
        BackupError: the archive can't be read to its end; raised behind the last piece.
    """
    arguments = ["--file=-", "--no-owner", "--no-privileges", *options, str(archive)]
    async with running_client(clients.pg_restore, arguments, environment={}) as pg_restore:

        async def pieces() -> AsyncIterator[bytes]:
            while piece := await pg_restore.stdout.read(PIECE):
                yield piece
            try:
                await pg_restore.ended()
            except BackupError as error:
                raise BackupError(
                    _("{file} is damaged and can't be read to its end ({reason}): make or use another one").format(
                        file=archive, reason=error
                    )
                ) from None

        yield pieces()


async def _read_all(archive: Path, clients: Clients, *options: str) -> bytes:
    """A part of the script that is known to be small."""
    text = bytearray()
    async with script_of(archive, clients, *options) as script:
        async for piece in script:
            text += piece
    return bytes(text)
