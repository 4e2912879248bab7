"""How commands ask the running daemon for a job, and for which store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.target import Target
from daemon.cli.context import talk
from daemon.cli.jobs.tables import show_requested
from daemon.config.settings import StoreSettings
from daemon.jobs.model import JobType
from daemon.jobs.types import JOB_TYPES


def request_job(
    job_type: JobType,
    store: str | None,
    params: Mapping[str, Any],
    *,
    wait: bool,
    config: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Ask for a job and, if wanted, follow it; ends with exit code 1 unless all goes well.

    Args:
        store: None for the only one that the job can be for.
    """

    async def ask(client: DaemonClient, target: Target) -> bool:
        wanted = store or await only_store(client, target, job_type)
        return await show_requested(
            client, target, lambda: client.submit(job_type, wanted, params), wait=wait, as_json=as_json
        )

    if not talk(config, url, ask):
        raise typer.Exit(1)


async def only_store(client: DaemonClient, target: Target, *job_types: JobType) -> str:
    """The store that is meant where none was named: the only one that a job of the first type can be for, else of the
    next one. Raises BadParameter where that is not clear."""
    for job_type in job_types:
        spec = JOB_TYPES[job_type]
        parts = [*spec.sources, *filter(None, [spec.section])]
        if target.settings is None:
            names: list[str] = list((await client.status())["stores"])
        else:
            names = [name for name, store in target.settings.stores.items() if _has(store, parts)]
        if names:
            break
    if len(names) == 1:
        return names[0]
    known = f"one of {', '.join(names)}" if names else f"the configuration has none with {' and '.join(parts)}"
    raise typer.BadParameter(f"which store? {known}", param_hint="--store")


def _has(store: StoreSettings, parts: list[str]) -> bool:
    return all(getattr(store, part) is not None for part in parts)
