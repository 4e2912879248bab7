"""A proxy that goes wrong on demand before the database of a test."""

from contextlib import AbstractAsyncContextManager
from urllib.parse import parse_qs, urlsplit

from tests.support.fault_proxy import FaultProxy, fault_proxy


def database_proxy(url: str) -> AbstractAsyncContextManager[FaultProxy]:
    """The proxy, before the server of a database's URL."""
    parts = urlsplit(url)
    if directory := parse_qs(parts.query).get("host", [""])[0]:
        return fault_proxy(path=f"{directory}/.s.PGSQL.5432")
    return fault_proxy(parts.hostname or "127.0.0.1", parts.port or 5432)


def by_way_of(proxy: FaultProxy, url: str) -> str:
    """The URL of the same database, by way of the proxy."""
    user, database = urlsplit(url).username or "postgres", urlsplit(url).path
    return f"postgresql://{user}@127.0.0.1:{proxy.port}{database}?sslmode=disable"
