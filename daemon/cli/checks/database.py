"""Tries out the database that a configuration names."""

from pathlib import Path

from daemon.api.findings import Finding, failed, ok
from daemon.config import ResolvedSecrets, state_directory
from daemon.database.migrate import program_version, schema_version
from daemon.database.pool import open_database
from daemon.database.postgres_binaries import find_binaries
from daemon.database.postgres_data import data_directory, major_version_of
from daemon.database.postgres_socket import running_server_dsn
from daemon.errors import ConfigError, DatabaseError, DongboError
from daemon.i18n import gettext as _

CONNECTIONS = 4
CONNECT_DEADLINE = 2.0  # seconds


def database_directory(config: Path | None) -> Path:
    """Where the embedded database is: `dongbo demo` keeps its configuration in its state directory."""
    if config is not None and (config.parent / "daemon.lock").exists():
        return config.parent
    return state_directory()


async def check_database(secrets: ResolvedSecrets, directory: Path) -> list[Finding]:
    """The database that the daemon uses or will use; the embedded one is in `directory`."""
    try:
        if secrets.database_url is not None:
            return await _check_server(secrets.database_url.get_secret_value())
        running = await running_server_dsn(directory)
        return await (_check_server(running) if running else _check_embedded(directory))
    except DongboError as error:
        return [failed("database", str(error))]


async def _check_server(dsn: str) -> list[Finding]:
    try:
        async with (
            open_database(
                dsn, max_connections=CONNECTIONS, application_name="dongbo-check", connect_deadline=CONNECT_DEADLINE
            ) as database,
            database.acquire() as connection,
        ):
            seconds = await database.ping()
            version = connection.get_server_version()
            schema = await schema_version(connection)
    except (DatabaseError, ConfigError) as error:
        return [failed("database", str(error))]
    found = f"PostgreSQL {version.major}.{version.minor}"
    return [ok("database", found, milliseconds=seconds * 1000), _judge_schema(schema)]


def _judge_schema(found: int) -> Finding:
    wanted = program_version()
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
    return failed(
        "schema",
        _("version {found} is newer than this program's, which is {wanted}").format(found=found, wanted=wanted),
        _("upgrade dongbo: pip install --upgrade dongbo"),
    )


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
        )
    ]
