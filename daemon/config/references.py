"""What a configuration file says about itself: schedules that name stores, names that must be unique, and times that
have to be compared in the file's zone.

This looks at the document as TOML has it, not at the models, so that its findings come together with theirs even where
the models refuse the document. What has the wrong type is passed over: the models say that.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from daemon.config.sales import SaleSettings
from daemon.config.settings import Settings
from daemon.config.toml_lines import KeyPath
from daemon.config.zones import to_zone
from daemon.jobs.types import JOB_TYPES, JobType, Source

DEFAULT_ZONE = Settings().timezone
SOURCE_NAMES = {Source.NHANH: "Nhanh.vn", Source.SHOPIFY: "Shopify"}


def check_references(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Each wrong reference as the path of its key and a sentence."""
    yield from _check_tokens(document.get("status", {}))
    stores = document.get("stores", {})
    schedules, sales = document.get("schedules", []), document.get("sales", [])
    if not isinstance(stores, dict):
        return
    yield from _check_rules(stores)
    if isinstance(schedules, list):
        yield from _check_schedules(schedules, stores)
    if isinstance(sales, list):
        yield from _check_sales(sales, stores)
        yield from _check_times(sales, document)
    if isinstance(alerts := document.get("alerts", []), list):
        yield from _check_alerts(alerts, stores)


def _check_tokens(status: object) -> Iterator[tuple[KeyPath, str]]:
    """Names that can't be told apart, be it by their case alone."""
    tokens = status.get("tokens", []) if isinstance(status, dict) else []
    first_with_name: dict[str, int] = {}
    for position, token in enumerate(tokens if isinstance(tokens, list) else []):
        if isinstance(token, dict) and isinstance(name := token.get("name"), str):
            first = first_with_name.setdefault(name.casefold(), position)
            if first != position:
                yield ("status", "tokens", position, "name"), f'"{name}" is the name of status.tokens[{first}] already'


def _check_rules(stores: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Rules of one store whose names can't be told apart."""
    for store, tables in stores.items():
        rules = tables.get("rules", []) if isinstance(tables, dict) else []
        first_with_name: dict[str, int] = {}
        for position, rule in enumerate(rules if isinstance(rules, list) else []):
            if isinstance(rule, dict) and isinstance(name := rule.get("name"), str):
                first = first_with_name.setdefault(name.casefold(), position)
                if first != position:
                    problem = f'"{name}" is the name of stores.{store}.rules[{first}] already'
                    yield ("stores", store, "rules", position, "name"), problem


def _check_schedules(schedules: list[Any], stores: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
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


def _check_sales(sales: list[Any], stores: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    first_with_name: dict[tuple[object, str], int] = {}
    for position, sale in enumerate(sales):
        if not isinstance(sale, dict):
            continue
        name, store = sale.get("name"), sale.get("store")
        if isinstance(store, str):
            if store not in stores:
                yield ("sales", position, "store"), _unknown_store(store, stores)
            elif isinstance(stores[store], dict) and "shopify" not in stores[store]:
                problem = f"a sale needs Shopify: add a table [stores.{store}.shopify], or name another store"
                yield ("sales", position, "store"), problem
        if isinstance(name, str) and isinstance(store, str):
            first = first_with_name.setdefault((store, name), position)
            if first != position:
                yield ("sales", position, "name"), f'"{name}" is the name of sales[{first}] already'


def _check_alerts(alerts: list[Any], stores: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    first_with_name: dict[str, int] = {}
    for position, alert in enumerate(alerts):
        if not isinstance(alert, dict):
            continue
        if isinstance(name := alert.get("name"), str):
            first = first_with_name.setdefault(name, position)
            if first != position:
                yield ("alerts", position, "name"), f'"{name}" is the name of alerts[{first}] already'
        named = alert.get("stores", [])
        for place, store in enumerate(named if isinstance(named, list) else []):
            if isinstance(store, str) and store not in stores:
                yield ("alerts", position, "stores", place), _unknown_store(store, stores)


def _check_times(sales: list[Any], document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Ends that lie before their start only by the zone's clocks, such as where one of the two has an offset."""
    try:
        zone = to_zone(document.get("timezone", DEFAULT_ZONE))
    except ValueError:
        return
    for position, sale in enumerate(sales):
        try:
            SaleSettings.model_validate(sale).in_zone(zone)
        except ValidationError:
            continue
        except ValueError as error:
            yield ("sales", position, "ends"), str(error)


def _unknown_store(store: str, stores: Mapping[str, Any]) -> str:
    known = ", ".join(f'"{name}"' for name in stores) or "none"
    return f'there is no store "{store}" in this file (stores: {known})'


def _check_store(schedule: Mapping[str, Any], stores: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    store = schedule.get("store")
    if not isinstance(store, str):
        return
    if store not in stores:
        yield "store", _unknown_store(store, stores)
        return
    tables = stores[store]
    job = JobType.PRODUCT_CHAIN if schedule.get("kind") == "product" else schedule.get("job")
    if not isinstance(job, str) or job not in JobType.__members__ or not isinstance(tables, dict):
        return
    key = "kind" if schedule.get("kind") == "product" else "job"
    spec = JOB_TYPES[JobType(job)]
    for source in spec.sources:
        if source not in tables:
            yield (
                key,
                f"{job} needs {SOURCE_NAMES[source]}: add a table [stores.{store}.{source}], or name another store",
            )
    if spec.section is not None and spec.section not in tables:
        yield key, f"{job} needs to know what to push: add a table [stores.{store}.{spec.section}]"
