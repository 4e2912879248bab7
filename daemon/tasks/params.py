"""Parameters of jobs: what may be asked for, and the canonical form by which requests are compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from daemon.errors import InvalidFilter, InvalidJobRequest
from daemon.i18n import gettext as _
from daemon.i18n import mark, ngettext
from daemon.sources.filters import Filters, Schema
from daemon.sources.shopify.filters import QUERY_SCHEMA, normalise_query

Params = Mapping[str, Any]

FLAGS: Mapping[str, str] = {
    "full": mark("Read everything, and find what was deleted."),
    "restart": mark("Begin anew instead of going on where an interrupted pull of the same stopped."),
    "allow_deletions": mark("Believe deletions of an implausible share of the rows; reads everything, too."),
}


@dataclass(frozen=True, slots=True)
class ReadParams:
    """The parameters of a job type.

    Args:
        read: makes parameters canonical; raises InvalidJobRequest with a plain sentence.
        schema: JSON Schema of what people may send, with examples.
    """

    read: Callable[[Params], dict[str, Any]]
    schema: Schema


@dataclass(frozen=True, slots=True)
class _Part:
    """A parameter of a pull that says which rows it is about."""

    read: Callable[[Any], Any]
    schema: Schema


def filtered(filters: Filters, example: Params) -> ReadParams:
    """Parameters of a pull from Nhanh: the flags and `filters`."""
    return _of_pull({"filters": _filters(filters)}, example)


def queried(example: Params, filters: Filters | None = None) -> ReadParams:
    """Parameters of a pull from Shopify: the flags and a search `query`, and filters where there are some."""
    parts = {"query": _Part(normalise_query, QUERY_SCHEMA)}
    if filters is not None:
        parts["filters"] = _filters(filters)
    return _of_pull(parts, example)


def object_schema(properties: Mapping[str, Schema], example: Params) -> Schema:
    """The schema of params that hold nothing but some of these."""
    return {"type": "object", "additionalProperties": False, "properties": dict(properties), "examples": [example]}


def scope(params: Params) -> dict[str, Any]:
    """What a pull is about, apart from how it starts: only one of the same scope continues an interrupted pull."""
    return {name: value for name, value in params.items() if name not in ("restart", "allow_deletions")}


def refuse_unknown(params: Params, known: Sequence[str], *, unlisted: Sequence[str] = ()) -> None:
    """Raises InvalidJobRequest for a name that is neither known nor `unlisted`; repeats nothing that was sent."""
    if params.keys() - {*known, *unlisted}:
        problem = ngettext(
            "params has a name that is not known. There is {known}.",
            "params has a name that is not known. There are {known}.",
            len(known),
        )
        raise InvalidJobRequest(problem.format(known=", ".join(known)))


def _read_none(params: Params) -> dict[str, Any]:
    if params:
        raise InvalidJobRequest(_("This job takes no params."))
    return {}


def _read_dry_run(params: Params) -> dict[str, Any]:
    if "retry_of" in params:
        raise InvalidJobRequest(
            _(
                "Matching and syncing plan anew from what both sides have: submit another job, and it takes up what "
                "failed."
            )
        )
    refuse_unknown(params, ["dry_run"])
    return {"dry_run": True} if _flag("dry_run", params.get("dry_run")) else {}


def _of_pull(parts: Mapping[str, _Part], example: Params) -> ReadParams:
    flags = {name: {"type": ["boolean", "null"], "description": text} for name, text in FLAGS.items()}
    described = {name: part.schema for name, part in parts.items()}
    return ReadParams(lambda params: _read_pull(params, parts), object_schema({**flags, **described}, example))


def _read_pull(params: Params, parts: Mapping[str, _Part]) -> dict[str, Any]:
    refuse_unknown(params, [*FLAGS, *parts], unlisted=["retry_of"])
    canonical: dict[str, Any] = {name: True for name in FLAGS if _flag(name, params.get(name))}
    if "allow_deletions" in canonical:
        canonical["full"] = True  # only a full pull finds deletions
    for name, part in parts.items():
        try:
            value = part.read(params.get(name))
        except InvalidFilter as error:
            raise InvalidJobRequest(f"params.{name}: {error}") from error
        if value:
            canonical[name] = value
    if params.get("retry_of") is not None:
        if canonical:
            raise InvalidJobRequest(_("params.retry_of stands alone: it takes up the failed rows of that job."))
        canonical["retry_of"] = _job_id(params["retry_of"])
    return canonical


def _flag(name: str, value: object) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InvalidJobRequest(_("params.{name} must be true or false.").format(name=name))


def _filters(filters: Filters) -> _Part:
    def read(given: object) -> dict[str, object]:
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            raise InvalidJobRequest(_("params.filters must be an object."))
        return filters.normalise(given)

    return _Part(read, {**filters.schema, "type": ["object", "null"]})


def _job_id(value: object) -> str:
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise InvalidJobRequest(_("params.retry_of must be a job's id.")) from None


none = ReadParams(_read_none, object_schema({}, example={}))
dry_run = ReadParams(
    _read_dry_run,
    object_schema(
        {"dry_run": {"type": ["boolean", "null"], "description": mark("Say what would be done, and do nothing.")}},
        example={"dry_run": True},
    ),
)
