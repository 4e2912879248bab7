"""Where the database is that a configuration names, and how a command gets to it, with or without a daemon."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from daemon.cli.checks.database import database_directory
from daemon.cli.context import CommandContext
from daemon.cli.installation.places import service_environment
from daemon.config import inspect_secrets, load_settings
from daemon.database.embedded import embedded_server
from daemon.database.postgres_data import data_directory, major_version_of
from daemon.database.postgres_socket import running_server_dsn
from daemon.errors import ConfigError, EmbeddedServerError
from daemon.i18n import configure as speak
from daemon.i18n import gettext as _
from daemon.logging import configure_logging


@dataclass(frozen=True, slots=True)
class DatabasePlace:
    """A server of somebody else's at `url`, or without one the embedded one in `state_directory`."""

    url: SecretStr | None
    state_directory: Path

    @asynccontextmanager
    async def reached(self) -> AsyncIterator[str]:
        """Its address for this process; the embedded server is started where no daemon runs it at the moment.

        Raises:
            EmbeddedServerError: there is no data, it can't be started, or only another user may reach it.
            StateDirectoryError: its directory can't be written.
        """
        if self.url is not None:
            yield self.url.get_secret_value()
        elif (running := await running_server_dsn(self.state_directory)) is not None:
            yield running
        elif major_version_of(data_directory(self.state_directory)) is None:
            raise EmbeddedServerError(
                _("There is no data in {directory} yet: the first start of the daemon makes it").format(
                    directory=self.state_directory
                )
            )
        else:
            async with embedded_server(self.state_directory) as server:
                yield server.dsn


def find_place(context: CommandContext) -> DatabasePlace:
    """The database of the configuration; from here on, the language of the configuration is spoken.

    Raises:
        ConfigError: there is no valid configuration, or the address can't be read.
    """
    path = context.find_config()
    settings = load_settings(path)
    speak(settings.language)
    configure_logging("error", "console")  # a command says itself what it does
    secrets, absent = inspect_secrets(settings, service_environment(path), config=path)
    if settings.database.url is not None and secrets.database_url is None:
        raise ConfigError(*(problem for problem in absent if problem.startswith("database.url")))
    return DatabasePlace(secrets.database_url, database_directory(path))
