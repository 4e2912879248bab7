"""What a configuration file says about itself: schedules that name stores, and names that must be unique.

This looks at the document as TOML has it, not at the models, so that its findings come together with theirs even where
the models refuse the document. What has the wrong type is passed over: the models say that.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from daemon.config.settings import section_of, sources_of
from daemon.config.toml_lines import KeyPath
from daemon.jobs.model import JobType

SOURCE_NAMES = {"nhanh": "Nhanh.vn", "shopify": "Shopify"}


def check_references(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Each wrong reference as the path of its key and a sentence."""
    stores = document.get("stores", {})
    schedules = document.get("schedules", [])
    if not isinstance(stores, dict) or not isinstance(schedules, list):
        return
    first_with_name: dict[str, int] = {}
    for position, schedule in enumerate(schedules):
        if not isinstance(schedule, dict):
            continue
        for key, problem in _check_store(schedule, stores):
            yield ("schedules", position, key), problem
        if isinstance(name := schedule.get("name"), str):
            first = first_with_name.setdefault(name, position)
            if first != position:
                yield ("schedules", position, "name"), f'"{name}" is the name of schedules[{first}] already'


def _check_store(schedule: Mapping[str, Any], stores: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    store = schedule.get("store")
    if not isinstance(store, str):
        return
    if store not in stores:
        known = ", ".join(f'"{name}"' for name in stores) or "none"
        yield "store", f'there is no store "{store}" in this file (stores: {known})'
        return
    tables = stores[store]
    job = JobType.PRODUCT_CHAIN if schedule.get("kind") == "product" else schedule.get("job")
    if not isinstance(job, str) or job not in JobType.__members__ or not isinstance(tables, dict):
        return
    key = "kind" if schedule.get("kind") == "product" else "job"
    for source in sources_of(JobType(job)):
        if source not in tables:
            yield (
                key,
                f"{job} needs {SOURCE_NAMES[source]}: add a table [stores.{store}.{source}], or name another store",
            )
    section = section_of(JobType(job))
    if section is not None and section not in tables:
        yield key, f"{job} needs to know what to push: add a table [stores.{store}.{section}]"
