"""On how many products of the mirror the rules of each store bear."""

from pathlib import Path

from daemon.api.findings import Finding, ok, warning
from daemon.cli.checks.database import CONNECT_DEADLINE, CONNECTIONS
from daemon.config import ProductSyncSettings, ResolvedSecrets, Settings
from daemon.database.migrate import program_version, read_schema
from daemon.database.pool import Connection, open_database
from daemon.database.postgres_socket import running_server_dsn
from daemon.errors import DongboError
from daemon.i18n import gettext as _
from daemon.i18n import ngettext, number_text
from daemon.ids import StoreName
from daemon.sync.products import rule_matches


async def check_rules(settings: Settings, secrets: ResolvedSecrets, directory: Path) -> list[Finding]:
    """A finding for each rule, where the database can be asked; the embedded one is in `directory`.

    That it can't be is for `check_database` to say.
    """
    ruled = {name: sync for name, store in settings.stores.items() if (sync := store.ruled_product_sync) and sync.rules}
    if not ruled:
        return []
    try:
        url = secrets.database_url
        dsn = url.get_secret_value() if url is not None else await running_server_dsn(directory)
        if dsn is None:
            return []
        async with (
            open_database(
                dsn, max_connections=CONNECTIONS, application_name="dongbo-check", connect_deadline=CONNECT_DEADLINE
            ) as database,
            database.acquire() as connection,
        ):
            if (await read_schema(connection)).version < program_version():
                return []
            return [finding for name, sync in ruled.items() for finding in await _of_store(connection, name, sync)]
    except DongboError:
        return []


async def _of_store(connection: Connection, store: StoreName, sync: ProductSyncSettings) -> list[Finding]:
    subject = f"{store}.rules"
    if not await rule_matches.count_pairs(connection, store):
        return [ok(subject, _("no product is mapped yet, on which they could bear"))]
    return [
        _of_rule(subject, name, count)
        for name, count in (await rule_matches.count_matches(connection, store, sync)).items()
    ]


def _of_rule(subject: str, name: str, count: int) -> Finding:
    if not count:
        return warning(
            subject,
            _("“{name}” bears on no mapped variant").format(name=name),
            _("look for a misspelt word or a range that nothing lies in; if it is meant for later, leave it"),
        )
    sentence = ngettext("“{name}” bears on {n} mapped variant", "“{name}” bears on {n} mapped variants", count)
    return ok(subject, sentence.format(name=name, n=number_text(count)))
