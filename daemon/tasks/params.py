"""Parameters of pulls: what may be asked for, brought into a canonical form by which pulls are compared."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from daemon.errors import InvalidFilter, InvalidJobRequest

FLAGS = ("full", "restart", "allow_deletions")

Params = Mapping[str, Any]
ReadFilters = Callable[[Mapping[str, object]], dict[str, object]]
ReadQuery = Callable[[object], str | None]


def filtered(read_filters: ReadFilters) -> Callable[[Params], dict[str, Any]]:
    """Parameters of a pull: `full`, `restart`, `allow_deletions` (booleans) and `filters` (an object)."""
    return lambda params: _read(params, {"filters": lambda given: _filters(given, read_filters)})


def queried(read_query: ReadQuery, read_filters: ReadFilters | None = None) -> Callable[[Params], dict[str, Any]]:
    """Parameters of a pull from Shopify: as `filtered`, with a search `query`, and filters where there are some."""
    readers: dict[str, Callable[[Any], Any]] = {"query": read_query}
    if read_filters is not None:
        readers["filters"] = lambda given: _filters(given, read_filters)
    return lambda params: _read(params, readers)


def none(params: Params) -> dict[str, Any]:
    """No parameters at all."""
    if params:
        raise InvalidJobRequest(f"This job takes no params, but got {', '.join(sorted(map(str, params))):.200}.")
    return {}


def dry_run(params: Params) -> dict[str, Any]:
    """Only `dry_run` (boolean): say what would be done, and do nothing."""
    if "retry_of" in params:
        raise InvalidJobRequest(
            "Matching and syncing plan anew from what both sides have: submit another job, and it takes up what failed."
        )
    unknown = params.keys() - {"dry_run"}
    if unknown:
        raise InvalidJobRequest(f"params has no {', '.join(sorted(map(repr, unknown))):.200}. There is dry_run.")
    return {"dry_run": True} if _flag("dry_run", params.get("dry_run")) else {}


def scope(params: Params) -> dict[str, Any]:
    """What a pull is about, apart from how it starts: an interrupted pull goes on only in one of the same scope."""
    return {name: value for name, value in params.items() if name not in ("restart", "allow_deletions")}


def _read(params: Params, readers: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    unknown = params.keys() - {*FLAGS, *readers, "retry_of"}
    if unknown:
        known = ", ".join((*FLAGS, *readers))
        raise InvalidJobRequest(f"params has no {', '.join(sorted(map(repr, unknown))):.200}. There are {known}.")
    canonical: dict[str, Any] = {name: True for name in FLAGS if _flag(name, params.get(name))}
    if "allow_deletions" in canonical:
        canonical["full"] = True  # only a full pull finds deletions
    for name, read in readers.items():
        try:
            value = read(params.get(name))
        except InvalidFilter as error:
            raise InvalidJobRequest(f"params.{name}: {error}") from error
        if value:
            canonical[name] = value
    if params.get("retry_of") is not None:
        if canonical:
            raise InvalidJobRequest("params.retry_of stands alone: it takes up the failed rows of that job.")
        canonical["retry_of"] = _job_id(params["retry_of"])
    return canonical


def _flag(name: str, value: object) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InvalidJobRequest(f"params.{name} must be true or false, not {value!r:.100}.")


def _filters(given: object, read: ReadFilters) -> dict[str, object]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidJobRequest(f"params.filters must be an object, not {given!r:.100}.")
    return read(given)


def _job_id(value: object) -> str:
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise InvalidJobRequest(f"params.retry_of must be a job's id, not {value!r:.100}.") from None
