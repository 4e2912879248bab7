"""From the options of a command to the definition of a campaign: all that is wrong with them at once."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from daemon.cli.client.daemon import DaemonClient
from daemon.cli.client.stores import only_store
from daemon.cli.sales.options import SaleOptions
from daemon.config import SaleSettings, read_skus
from daemon.config.problems import describe
from daemon.errors import DongboError, ExitCode
from daemon.jobs.types import JobType

# What the keys of a definition are called on the command line, where that is not their own name.
SPELLINGS = {"name": "NAME", "discount_from": "--from"}
LISTS = {
    "products": "product",
    "collections": "collection",
    "product_types": "type",
    "vendors": "vendor",
    "tags": "tag",
    "skus": "sku",
}


class SaleOptionsError(DongboError):
    """The options do not make a campaign; one line for each problem."""

    exit_code = ExitCode.USAGE


async def define(client: DaemonClient, name: str, store: str | None, options: SaleOptions) -> dict[str, object]:
    """The campaign as it is sent. `store` is None for the only one that can have sales. Raises as `definition_of`."""
    return definition_of(name, store or await only_store(client, JobType.APPLY_SALE), options).to_json()


def definition_of(name: str, store: str, options: SaleOptions) -> SaleSettings:
    """The campaign that the options define; times are as typed, in the shop's zone.

    Raises SaleOptionsError with all that is wrong.
    """
    problems: list[str] = []
    raw = _document(name, store, options, problems)
    if (options.percent is None) == (options.amount is None):
        problems.append("give either --percent or --amount")
    if not raw["targets"] and not options.skus:
        spellings = [f"--{word}" for word in LISTS.values()]
        problems.append(f"which variants is it for? Give --all, {', '.join(spellings)} or --skus")
    elif options.everything and len(raw["targets"]) > 1:
        problems.append("--all already means every variant: leave out the other targets, or --all")
    try:
        definition = SaleSettings.model_validate(raw)
    except ValidationError as error:
        raise SaleOptionsError("\n".join([*problems, *_described(error, raw, is_first=not problems)])) from None
    if problems:
        raise SaleOptionsError("\n".join(problems))
    return definition


def _document(name: str, store: str, options: SaleOptions, problems: list[str]) -> dict[str, Any]:
    plain = {
        "name": name,
        "store": store,
        "percent": options.percent and options.percent.removesuffix("%"),
        "amount": options.amount,
        "discount_from": options.discount_from and str(options.discount_from),
        "round_to": options.round_to,
        "ending": options.ending,
        "floor": options.floor,
        "starts": options.starts,
        "ends": options.ends,
        "newcomers": options.newcomers and str(options.newcomers),
    }
    targets = {
        "all": options.everything,
        "products": options.product,
        "collections": options.collection,
        "product_types": options.product_type,
        "vendors": options.vendor,
        "tags": options.tag,
        "skus": _skus("--skus", options.sku, options.skus, problems),
    }
    excludes = {
        "products": options.exclude_product,
        "collections": options.exclude_collection,
        "product_types": options.exclude_type,
        "vendors": options.exclude_vendor,
        "tags": options.exclude_tag,
        "skus": _skus("--exclude-skus", options.exclude_sku, options.exclude_skus, problems),
    }
    given = {key: value for key, value in plain.items() if value is not None}
    return {**given, "targets": _filled(targets), "excludes": _filled(excludes)}


def _filled(selection: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in selection.items() if value}


def _skus(option: str, typed: Sequence[str] | None, file: Path | None, problems: list[str]) -> list[str]:
    try:
        listed = read_skus(file) if file is not None else []
    except ValueError as error:
        problems.append(f"{option}: {error}")
        listed = []
    return list(dict.fromkeys((*(typed or ()), *listed)))


def _described(error: ValidationError, raw: Mapping[str, Any], *, is_first: bool) -> Iterator[str]:
    """The findings by option; those about the whole and about all targets only where no better words were found."""
    for path, sentence in describe(error, raw, SaleSettings.model_json_schema()):
        if path in ((), ("targets",)):
            if is_first:
                yield sentence
        else:
            yield f"{_spelling(path)}: {sentence}"


def _spelling(path: Sequence[str | int]) -> str:
    match path:
        case ["excludes", str(key), *_]:
            return f"--exclude-{LISTS.get(key, key)}"
        case ["targets", str(key), *_] if key in LISTS:
            return f"--{LISTS[key]}"
        case [key, *_]:
            return SPELLINGS.get(str(key), f"--{str(key).replace('_', '-')}")
        case _:
            return ""
