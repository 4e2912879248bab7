"""Which store a command is for where none was named."""

import typer

from daemon.cli.client.daemon import DaemonClient
from daemon.config.settings import StoreSettings
from daemon.i18n import gettext as _
from daemon.jobs.types import JOB_TYPES, JobType


async def only_store(client: DaemonClient, *job_types: JobType) -> str:
    """The only store that a job of the first type can be for, else of the next type.

    Raises BadParameter where that is not clear.
    """
    settings = client.target.settings
    for job_type in job_types:
        spec = JOB_TYPES[job_type]
        parts = [*spec.sources, *filter(None, [spec.section])]
        if settings is None:
            names: list[str] = list((await client.status()).stores)
        else:
            names = [name for name, store in settings.stores.items() if _has(store, parts)]
        if names:
            break
    if len(names) == 1:
        return names[0]
    if names:
        problem = _("which store? one of {names}").format(names=", ".join(names))
    else:
        problem = _("which store? the configuration has none with {parts}").format(parts=_(" and ").join(parts))
    raise typer.BadParameter(problem, param_hint="--store")


def _has(store: StoreSettings, parts: list[str]) -> bool:
    return all(getattr(store, part) is not None for part in parts)
