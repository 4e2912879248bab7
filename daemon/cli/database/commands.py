"""`dongbo database`: its commands."""

import asyncio
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.confirmation import confirm
from daemon.cli.context import CommandContext, Commands, LocalCommand
from daemon.cli.database.place import DatabasePlace, find_place
from daemon.cli.render import output
from daemon.database.backup import back_up
from daemon.database.pool import FEWEST_CONNECTIONS, open_database
from daemon.database.postgres_clients import address_of, find_clients
from daemon.database.replacement import remove_replaced, replaced_data, settle_unless_in_use
from daemon.database.restore import Restored, drop_schema, old_schemas, restore_embedded, restore_into
from daemon.database.upgrade import upgrade_embedded
from daemon.errors import BackupError, ConfigError
from daemon.i18n import gettext as _
from daemon.i18n import ngettext, number_text

APPLICATION = "dongbo-backup"
SHELL_VARIABLES = {"PGOPTIONS": "-c search_path=dongbo,public", "PGAPPNAME": "dongbo-shell"}

app = Commands()

OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


@app.command(cls=LocalCommand)
async def backup(
    context: CommandContext,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; only its owner can read it.")],
    overwrite: OverwriteOption = False,
) -> None:
    """Back up the database to a file, while the daemon runs.

    The file holds one moment of all stores, and is there when it has been read back. pg_restore can read it, too.
    """
    place = find_place(context)
    if file.exists() and not file.is_file():  # also a device such as /dev/null, which would no longer be one
        raise BackupError(_("{file} is no file: name one").format(file=file))
    if file.exists() and not overwrite:
        raise BackupError(_("{file} is there already: name another file, or add --overwrite").format(file=file))
    async with (
        place.reached() as dsn,
        open_database(dsn, max_connections=FEWEST_CONNECTIONS, application_name=APPLICATION) as database,
    ):
        made = await back_up(database, file.absolute())
    if context.as_json:
        output.write_json(asdict(made))
        return
    counted = ngettext(
        "{file}: {n} row of {tables} tables, read back; {size} bytes, in {seconds:.1f} s",
        "{file}: {n} rows of {tables} tables, read back; {size} bytes, in {seconds:.1f} s",
        made.rows,
    )
    output.write_text(
        counted.format(
            file=made.file,
            n=number_text(made.rows),
            tables=made.tables,
            size=number_text(made.bytes),
            seconds=made.seconds,
        )
    )


@app.command(cls=LocalCommand)
async def restore(
    context: CommandContext,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `dongbo database backup` has written.")],
    overwrite: OverwriteOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing: restore it beside, see that it is whole, remove it.")
    ] = False,
) -> None:
    """Restore a backup; stop the daemon first.

    All of it or nothing. With --overwrite, what is there now is kept until `dongbo database remove-old`.
    """
    place = find_place(context)
    if place.url is not None:
        dsn = place.url.get_secret_value()
        restored = await restore_into(file.absolute(), dsn, overwrite=overwrite, dry_run=dry_run)
    else:
        restored = await restore_embedded(file.absolute(), place.state_directory, overwrite=overwrite, dry_run=dry_run)
    if context.as_json:
        output.write_json({"file": str(file), "dry_run": dry_run, **asdict(restored)})
    else:
        _tell_of_restored(file, restored, dry_run=dry_run)


def _tell_of_restored(file: Path, restored: Restored, *, dry_run: bool) -> None:
    if dry_run:
        text = _("{file} can be restored: {n} rows, schema version {version}. Nothing was changed.")
    else:
        text = _("{file} is restored: {n} rows, schema version {version}.")
    output.write_text(text.format(file=file, n=number_text(restored.rows), version=restored.schema_version))
    if dry_run:
        return
    if restored.kept is not None:
        output.tell(_kept(restored.kept))
    output.tell(
        _(
            "\nStart the daemon, then let it learn what has happened since the backup:\n"
            "  dongbo pull nhanh-products --full\n"
            "  dongbo pull shopify-products --full\n"
            "and look at `dongbo sale list`: what became of sales since then is not known to it."
        )
    )


@app.command(cls=LocalCommand)
async def upgrade(
    context: CommandContext,
    old_binaries: Annotated[
        Path | None,
        typer.Option("--old-binaries", metavar="DIRECTORY", help="Where the PostgreSQL is that made the data."),
    ] = None,
) -> None:
    """Bring the embedded database to the PostgreSQL that came along.

    Stop the daemon first. The data is copied, and the old data kept until `dongbo database remove-old`.
    """
    place = find_place(context)
    if place.url is not None:
        raise ConfigError(
            _("[database] url names a server of yours: upgrade it as its own documentation says. Nothing was changed")
        )
    upgraded = await upgrade_embedded(place.state_directory, old_binaries=old_binaries)
    if context.as_json:
        output.write_json(asdict(upgraded))
        return
    if upgraded.kept is None:
        output.write_text(
            _(
                "There is nothing to do: the data is for PostgreSQL {major}, and the newest one here is {newest}."
            ).format(major=upgraded.before, newest=upgraded.version)
        )
        return
    output.write_text(
        _("The data is for PostgreSQL {version} now: {n} rows copied from {before} and compared.").format(
            version=upgraded.version, n=number_text(upgraded.rows), before=upgraded.before
        )
    )
    output.tell(_kept(str(upgraded.kept)))


def _kept(where: str) -> str:
    return _(
        "What was there before is kept as {where}. When all is well, `dongbo database remove-old` deletes it."
    ).format(where=where)


@app.command("remove-old", cls=LocalCommand)
def remove_old(
    context: CommandContext,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Delete what a restore or upgrade has replaced; asks first."""
    place = find_place(context)
    kept = asyncio.run(_list_kept(place))
    if kept:
        if not context.as_json:
            output.write_text("\n".join(kept))
        question = ngettext("Delete it?", "Delete these {n}?", len(kept)).format(n=len(kept))
        confirm(question, yes=yes, why=_("this deletes data permanently"))
        asyncio.run(_remove_kept(place, kept))
    if context.as_json:
        output.write_json({"removed": kept})
    else:
        said = ngettext("{n} deleted", "{n} deleted", len(kept)).format(n=len(kept))
        output.write_text(said if kept else _("There is nothing that was replaced."))


async def _list_kept(place: DatabasePlace) -> list[str]:
    if place.url is not None:
        return await old_schemas(place.url.get_secret_value())
    await asyncio.to_thread(settle_unless_in_use, place.state_directory)
    return [str(path) for path in await asyncio.to_thread(replaced_data, place.state_directory)]


async def _remove_kept(place: DatabasePlace, kept: list[str]) -> None:
    for name in kept:
        if place.url is not None:
            await drop_schema(place.url.get_secret_value(), name)
        else:
            await asyncio.to_thread(remove_replaced, Path(name))


@app.command(cls=LocalCommand)
async def shell(
    context: CommandContext,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- PSQL_ARGUMENT...]", help="Passed on to psql.")
    ] = None,
) -> None:
    """Open the database in psql, or run what is given to it.

    All is in the schema dongbo, which is searched first. Arguments go behind --, such as: -- -c "SELECT 1"
    """
    place = find_place(context)
    async with place.reached() as dsn:
        address = address_of(dsn)
        clients = await find_clients(0, local=address.is_local)
        process = await asyncio.create_subprocess_exec(
            clients.psql,
            *("--no-password", f"--dbname={address.url}", *(arguments or [])),
            env={**os.environ, **SHELL_VARIABLES, **address.environment},
        )
        # Ctrl-C is for psql: it ends a statement there, and not the session.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            code = await process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
    if code != 0:
        raise typer.Exit(1)
