"""Tries out the database that a configuration names."""

from pathlib import Path

from daemon.api.findings import Finding, failed, ok, warning
from daemon.cli.installation.places import service_environment
from daemon.config import ResolvedSecrets, revealed, state_directory
from daemon.database.migrate import Schema, program_version, read_schema
from daemon.database.pool import open_database
from daemon.database.postgres_binaries import find_binaries
from daemon.database.postgres_data import data_directory, major_version_of
from daemon.database.postgres_socket import running_server_dsn
from daemon.database.replica import Replica
from daemon.database.state_lock import LOCK
from daemon.database.storage import disk_space
from daemon.database.usage import ReplicaStanding
from daemon.errors import ConfigError, DatabaseError, DongboError
from daemon.i18n import gettext as _
from daemon.i18n import size_text

CONNECTIONS = 4
CONNECT_DEADLINE = 2.0  # seconds


def database_directory(config: Path | None) -> Path:
    """Where the embedded database is: `dongbo demo` keeps its configuration in its state directory.

    $STATE_DIRECTORY wins, as it does for the daemon.
    """
    environment = service_environment(config)
    is_named = bool(environment.get("STATE_DIRECTORY"))
    if not is_named and config is not None and (config.parent / LOCK).exists():
        return config.parent
    return state_directory(environment)


async def check_database(secrets: ResolvedSecrets, directory: Path) -> list[Finding]:
    """The database that the daemon uses or will use; the embedded one is in `directory`."""
    try:
        if secrets.database_url is not None:
            return await _check_server(
                secrets.database_url.get_secret_value(),
                revealed(secrets.database_listen_url),
                revealed(secrets.database_read_url),
            )
        running = await running_server_dsn(directory)
        return await (_check_server(running) if running else _check_embedded(directory))
    except DongboError as error:
        return [failed("database", str(error))]


async def _check_server(dsn: str, listen_dsn: str | None = None, read_dsn: str | None = None) -> list[Finding]:
    try:
        async with (
            open_database(
                dsn,
                listen_dsn=listen_dsn,
                read_dsn=read_dsn,
                max_connections=CONNECTIONS,
                application_name="dongbo-check",
                connect_deadline=CONNECT_DEADLINE,
            ) as database,
            database.acquire() as connection,
        ):
            seconds = await database.ping()
            version = connection.get_server_version()
            schema = await read_schema(connection)
            replica = await _judge_replica(database.replica)
    except (DatabaseError, ConfigError) as error:
        return [failed("database", str(error))]
    found = f"PostgreSQL {version.major}.{version.minor}"
    return [ok("database", found, milliseconds=seconds * 1000), _judge_schema(schema), *replica]


async def _judge_replica(replica: Replica | None) -> list[Finding]:
    if replica is None:
        return []
    await replica.look()
    detail = replica.health.detail
    if replica.state.standing is ReplicaStanding.KEEPS_UP:
        return [ok("replica", detail)]
    return [warning("replica", detail, _("look at the replica and at [database] read_url"))]


def _judge_schema(schema: Schema) -> Finding:
    found, wanted = schema.version, program_version()
    if found == wanted:
        return ok("schema", _("version {number}").format(number=found))
    if found == 0:
        return ok("schema", _("not there yet: the first `dongbo run` creates it"))
    if found < wanted:
        return ok(
            "schema",
            _("version {found}: the next start of the daemon migrates it to {wanted}").format(
                found=found, wanted=wanted
            ),
        )
    if schema.suits(wanted):
        return ok(
            "schema",
            _("version {found}, with which this older program of version {program} works: upgrade it, too").format(
                found=found, program=wanted
            ),
        )
    return failed(
        "schema",
        _("version {found} is newer than this program's, which is {wanted}").format(found=found, wanted=wanted),
        _("upgrade dongbo: pip install --upgrade dongbo"),
    )


def _judge_disk(directory: Path) -> list[Finding]:
    """Whether there is room for the embedded database, also where it does not even start for want of it."""
    disk = disk_space(directory)
    if disk is None:
        return []
    detail = _("{free} of {size} are free on the disk with the database").format(
        free=size_text(disk.free), size=size_text(disk.size)
    )
    if not disk.is_low:
        return [ok("disk", detail)]
    advice = _("make room on the disk of {path}, or use a larger one").format(path=disk.path)
    return [failed("disk", detail, advice) if disk.is_out else warning("disk", detail, advice)]


async def _check_embedded(directory: Path) -> list[Finding]:
    made_by = major_version_of(data_directory(directory))
    binaries = await find_binaries(made_by)
    state = (
        _("its data is in {directory}").format(directory=directory)
        if made_by
        else _("the first `dongbo run` creates its data in {directory}").format(directory=directory)
    )
    return [
        ok(
            "database",
            _("embedded PostgreSQL {version}, not running; {state}").format(version=binaries.version, state=state),
        ),
        *_judge_disk(directory),
    ]
