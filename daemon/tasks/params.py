"""Parameters of jobs: what may be asked for, and the canonical form by which requests are compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from daemon.errors import InvalidFilter, InvalidJobRequest
from daemon.i18n import gettext as _
from daemon.i18n import mark, ngettext
from daemon.jobs.types import PullMethod
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
class Part:
    """A parameter that says which rows a job is about; what it reads as empty is as if it were not there."""

    read: Callable[[str, Any], Any]  # the parameter's name and what was sent; raises InvalidFilter, InvalidJobRequest
    schema: Schema


def filtered(filters: Filters, example: Params) -> ReadParams:
    """Parameters of a pull from Nhanh: the flags and `filters`."""
    return _of_pull({"filters": _filters(filters)}, example)


def queried(example: Params, filters: Filters | None = None) -> ReadParams:
    """Parameters of a pull from Shopify: the flags, a search `query`, a `method`, and filters where there are some."""
    parts = {"query": Part(lambda _name, given: normalise_query(given), QUERY_SCHEMA), "method": _METHOD}
    if filters is not None:
        parts["filters"] = _filters(filters)
    return _of_pull(parts, example)


def method_of(params: Params) -> PullMethod:
    """How the rows of a pull with these parameters are to be read."""
    return PullMethod(params.get("method", PullMethod.AUTO))


def items_or_all(named: Mapping[str, Part], example: Params) -> ReadParams:
    """Parameters of a sync: `dry_run`, and one of these parts, which name the items that it is about."""
    described = {name: part.schema for name, part in named.items()}
    return ReadParams(lambda params: _read_items(params, named), object_schema({**_DRY_RUN, **described}, example))


def texts(about: str, *, most: int, longest: int) -> Part:
    """At most so many texts of at most so many characters, none of them blank: each once, in order."""
    items = {"type": "string", "maxLength": longest, "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}

    def is_text(value: object) -> bool:
        return isinstance(value, str) and len(value) <= longest and value.strip() != "" and "\0" not in value

    def read(name: str, given: object) -> list[str]:
        if given is None:
            return []
        if not isinstance(given, list) or not all(map(is_text, given)):
            raise InvalidJobRequest(
                _("params.{name} must be a list of texts of 1 to {longest} characters, none of them blank.").format(
                    name=name, longest=longest
                )
            )
        _check_number(name, given, most)
        return sorted({text.strip() for text in given})

    return Part(read, _list_schema(about, items, most))


def numbers(about: str, *, most: int) -> Part:
    """At most so many ids: each once, in order."""

    def read(name: str, given: object) -> list[int]:
        if given is None:
            return []
        if not isinstance(given, list) or not all(type(number) is int and 0 < number < 2**63 for number in given):
            raise InvalidJobRequest(_("params.{name} must be a list of ids.").format(name=name))
        _check_number(name, given, most)
        return sorted(set(given))

    return Part(read, _list_schema(about, {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, most))


def object_schema(properties: Mapping[str, Schema], example: Params) -> Schema:
    """The schema of params that hold nothing but some of these."""
    return {"type": "object", "additionalProperties": False, "properties": dict(properties), "examples": [example]}


def scope(params: Params) -> dict[str, Any]:
    """What a pull is about, apart from how it starts: only one of the same scope continues an interrupted pull."""
    return {name: value for name, value in params.items() if name not in ("restart", "allow_deletions", "method")}


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
            _("Matching plans anew from what both sides have: submit another job, and it takes up what failed.")
        )
    refuse_unknown(params, ["dry_run"])
    return {"dry_run": True} if _flag("dry_run", params.get("dry_run")) else {}


def _read_items(params: Params, named: Mapping[str, Part]) -> dict[str, Any]:
    refuse_unknown(params, ["dry_run", *named], unlisted=["retry_of"])
    canonical: dict[str, Any] = {"dry_run": True} if _flag("dry_run", params.get("dry_run")) else {}
    chosen: dict[str, Any] = {
        name: value for name, part in named.items() if (value := part.read(name, params.get(name)))
    }
    if params.get("retry_of") is not None:
        chosen["retry_of"] = _job_id(params["retry_of"])
    if len(chosen) > 1:
        raise InvalidJobRequest(
            _("params has several of {names}: one says which items a job is about.").format(
                names=", ".join(sorted(chosen))
            )
        )
    return canonical | chosen


def _of_pull(narrowing: Mapping[str, Part], example: Params) -> ReadParams:
    parts = {**narrowing, "ids": IDS}
    flags = {name: {"type": ["boolean", "null"], "description": text} for name, text in FLAGS.items()}
    described = {name: part.schema for name, part in parts.items()}
    return ReadParams(lambda params: _read_pull(params, parts), object_schema({**flags, **described}, example))


def _read_pull(params: Params, parts: Mapping[str, Part]) -> dict[str, Any]:
    refuse_unknown(params, [*FLAGS, *parts], unlisted=["retry_of"])
    canonical: dict[str, Any] = {name: True for name in FLAGS if _flag(name, params.get(name))}
    if "allow_deletions" in canonical:
        canonical["full"] = True  # only a full pull finds deletions
    for name, part in parts.items():
        try:
            value = part.read(name, params.get(name))
        except InvalidFilter as error:
            raise InvalidJobRequest(f"params.{name}: {error}") from error
        if value:
            canonical[name] = value
    if params.get("retry_of") is not None:
        if canonical:
            raise InvalidJobRequest(_("params.retry_of stands alone: it takes up the failed rows of that job."))
        canonical["retry_of"] = _job_id(params["retry_of"])
    if "ids" in canonical and len(canonical) > 1:
        raise InvalidJobRequest(_("params.ids stands alone: it reads just the rows with these ids."))
    return canonical


def _flag(name: str, value: object) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InvalidJobRequest(_("params.{name} must be true or false.").format(name=name))


def _filters(filters: Filters) -> Part:
    def read(_name: str, given: object) -> dict[str, object]:
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            raise InvalidJobRequest(_("params.filters must be an object."))
        return filters.normalise(given)

    return Part(read, {**filters.schema, "type": ["object", "null"]})


def _read_method(name: str, given: object) -> str | None:
    if given is None or given == PullMethod.AUTO:
        return None
    if given not in list(PullMethod):
        raise InvalidJobRequest(
            _("params.{name} must be one of {known}.").format(name=name, known=", ".join(PullMethod))
        )
    return str(given)


def _check_number(name: str, values: Sequence[object], most: int) -> None:
    if not 0 < len(values) <= most:
        raise InvalidJobRequest(
            _("params.{name} takes 1 to {most} values, not {n}.").format(name=name, most=most, n=len(values))
        )


def _list_schema(about: str, items: Schema, most: int) -> Schema:
    return {"type": ["array", "null"], "description": about, "items": items, "minItems": 1, "maxItems": most}


def _job_id(value: object) -> str:
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise InvalidJobRequest(_("params.retry_of must be a job's id.")) from None


MOST_ITEMS = 100  # that a job names
IDS = numbers(mark("Read just the rows with these ids; what the source no longer has is marked as deleted."), most=1000)
_DRY_RUN: Mapping[str, Schema] = {
    "dry_run": {"type": ["boolean", "null"], "description": mark("Say what would be done, and do nothing.")}
}

_METHOD = Part(
    _read_method,
    {
        "type": ["string", "null"],
        "enum": [*PullMethod, None],
        "description": mark(
            "How everything is read: by pages, or in bulk as one file that Shopify makes. Left out, or auto: by "
            "whichever is faster. What has changed is always read by itself."
        ),
    },
)

none = ReadParams(_read_none, object_schema({}, example={}))
dry_run = ReadParams(_read_dry_run, object_schema(_DRY_RUN, example={"dry_run": True}))
